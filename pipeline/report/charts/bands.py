"""What bands and bars of curves are: a standard deviation to both sides of the mean, or from the least to the greatest.

Frankle & Carbin 2018 draw the latter: "the minimum and maximum value any trial takes on".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Spread = Literal["std", "range"]
Column = list[Any]


def spread_in_words(spread: Spread) -> str:
    """For titles and text alternatives."""
    return "mean ±1 std over seeds" if spread == "std" else "mean over seeds, least and greatest of all runs"


def band_in_words(spread: Spread) -> str:
    """For captions."""
    return "±1 standard deviation" if spread == "std" else "from the least to the greatest of all runs"


def band_fields(spread: Spread, unit: str = "") -> tuple[str, ...]:
    """What the hover calls the columns of `Bands.more`; a standard deviation it shows beside the mean."""
    of = f", {unit}" if unit else ""
    return () if spread == "std" else (f"least of all runs{of}", f"greatest of all runs{of}")


@dataclass(frozen=True, slots=True)
class Bands:
    """Bands of all rows of a table, as columns for JSON."""

    spread: Spread
    columns: tuple[Column, ...]
    """One of half heights, or two of lower and upper edges."""

    @classmethod
    def of(cls, spread: Spread, rows: Any, shown: Callable[[Any], Column], suffix: str = "") -> Bands:
        """From the columns `std`, `least` and `greatest` of a table, with `suffix`; `shown` makes numbers for JSON."""
        names = ("std",) if spread == "std" else ("least", "greatest")
        return cls(spread, tuple(shown(rows[name + suffix]) for name in names))

    def at(self, places: Iterable[int]) -> Mapping[str, Any]:
        """Fields of the `Series` of some rows."""
        names = ("spread",) if self.spread == "std" else ("low", "high")
        rows = list(places)
        return {name: [column[row] for row in rows] for name, column in zip(names, self.columns, strict=True)}

    def more(self, places: Iterable[int]) -> list[Column]:
        """What the hover says of them: `band_fields`."""
        return [] if self.spread == "std" else list(self.at(places).values())
