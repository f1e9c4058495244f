"""The rows of a table as lines with bands: a standard deviation to both sides of the mean, or from least to greatest.

Frankle & Carbin 2018 draw the latter: "the minimum and maximum value any trial takes on".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from pipeline.report.charts.chart import Column, Series

Spread = Literal["std", "range"]
Places = Mapping[tuple[object, ...], Sequence[int]]
"""By the names of a curve the rows that it has, in their order."""


def spread_in_words(spread: Spread) -> str:
    """For titles and text alternatives."""
    return "mean ±1 std over seeds" if spread == "std" else "mean over seeds, least and greatest of all runs"


def band_in_words(spread: Spread) -> str:
    """For captions."""
    return "±1 standard deviation" if spread == "std" else "from the least to the greatest of all runs"


def band_fields(spread: Spread, unit: str = "") -> tuple[str, ...]:
    """What the hover calls the edges of a band; a standard deviation it shows beside the mean."""
    of = f", {unit}" if unit else ""
    return () if spread == "std" else (f"least of all runs{of}", f"greatest of all runs{of}")


def edges_of(
    spread: Spread, rows: pd.DataFrame, shown: Callable[[pd.Series[float]], Column], suffix: str = ""
) -> dict[str, Column]:
    """The bands of all rows, as fields of `Series`, from the columns `std`, `least` and `greatest` with a suffix."""
    names = {"spread": "std"} if spread == "std" else {"low": "least", "high": "greatest"}
    return {field: shown(rows[name + suffix]) for field, name in names.items()}


def places_of(rows: pd.DataFrame, by: list[str]) -> Places:
    """The rows of each curve of a table, whose index is 0, 1, ...; curves are in the order of their first rows."""
    indices: Mapping[Any, Any] = rows.groupby(by, sort=False).indices  # whose keys are tuples, of several columns
    return {tuple(curve): list(map(int, at)) for curve, at in indices.items()}


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows of a table as columns for JSON. Made once for all lines: pandas is slow at thousands of small tables."""

    x: Column
    y: Column
    edges: Mapping[str, Column]
    """`edges_of`."""
    more: Sequence[Column]
    """What the hover says of a point, beside the edges where these are two."""
    seeds: Sequence[Column] = ()
    """y of each seed, by row."""
    marked: Sequence[bool] = ()
    """Whether a row holds a diverged run."""

    def series(self, name: str, places: Iterable[int]) -> Series:
        """The line through some of the rows."""
        at = list(places)
        edges = {field: [column[place] for place in at] for field, column in self.edges.items()}
        more = [[column[place] for place in at] for column in self.more]
        more += [] if "spread" in edges else edges.values()
        seeds = [list(values) for values in zip(*(self.seeds[place] for place in at if self.seeds), strict=True)]
        marked = [number for number, place in enumerate(at) if self.marked and self.marked[place]]
        x, y = ([column[place] for place in at] for column in (self.x, self.y))
        spread, low, high = map(edges.get, ("spread", "low", "high"))
        return Series(name, x, y, spread=spread, low=low, high=high, more=more, seeds=seeds, marked=marked)
