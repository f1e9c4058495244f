"""Charts of the page as compact descriptions; `templates/charts.js` turns each into the traces of a plotly figure.

A description is data and words, no drawing: a grid of thousands of curves stays a few megabytes, and one description
gives the light and the dark figure, with single seeds and without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.lottery.printable import escaped
from pipeline.report.charts.palette import Line

Column = list[float | None]
"""Numbers for JSON, None for what is not there."""

DIGITS = 5
"""Significant digits of numbers on the page: a tenth of what a test set of 10,000 can tell."""
NAMED = 4
"""Lines that a chart's text alternative spells out."""
CROWD = 8
"""Sources whose lines all have bands and markers; of more, some stand out and the others are thin."""
NARROW = 0.5
"""Of the whole range of y: a range of at most so much shows differences that the whole one hides."""


@dataclass(frozen=True, slots=True)
class Axis:
    """`kind`: `left` (weights remaining in %, logarithmic, all at the left), `weights` (their number, likewise),
    `linear`, `log` or `category`."""

    title: str
    kind: str = "linear"
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """A dot on a line, with a bar along x from `low` to `high`. `words`: lines of its hover."""

    x: float
    y: float
    low: float
    high: float
    words: Sequence[str]


@dataclass(slots=True)
class Series:
    """One line with what belongs to it; all sequences are as long as `x`.

    `role`: `line`, `level` (the dense network), `reference` (the dense network where it is a curve), `chance` (what
    chance gives), `step` (one of an ordered family) or `histogram` (x are the middles of its bins). `spread`: half the
    height of its band (a standard deviation); or `low` and `high`, the band itself. `more`: columns that the hover
    shows, named by the chart's `fields`. `seeds`: y of each seed. `place`: of a step in its family, from 0 to 1; of one
    chance among several.
    """

    name: str
    x: Sequence[Any]
    """Numbers, or names of categories."""
    y: Sequence[float | None]
    line: Line | None = None
    role: str = "line"
    spread: Sequence[float | None] | None = None
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None
    more: Sequence[Sequence[float | None]] = ()
    seeds: Sequence[Sequence[float | None]] = ()
    marked: Sequence[int] = ()
    """Places of points that hold a diverged run."""
    place: float = 0.0
    own: bool = False
    """Whether this is the target's own source: it stands out among many."""
    legend: bool = True
    points: bool = True
    """Whether a step's points have markers: those of a learning curve are too many."""
    moment: Moment | None = None
    """When its training has converged."""

    def __post_init__(self) -> None:
        # Names of layers are those of the user's model, and may be any text.
        self.name = escaped(self.name)
        if any(isinstance(one, str) for one in self.x[:1]):
            self.x = [escaped(one) for one in self.x]

    def band(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Lower and upper edge at each x: y itself where there is no band, NaN where there is no y."""
        if self.low is not None and self.high is not None:
            return as_floats(self.low), as_floats(self.high)
        y = as_floats(self.y)
        half = np.zeros_like(y) if self.spread is None else np.nan_to_num(as_floats(self.spread))
        return y - half, y + half

    def described(self, place: Callable[[Sequence[object]], int]) -> dict[str, object]:
        """Without what is empty or at its default. `place`: of a column among those of the chart."""
        line = self.line
        look: dict[str, object] = {"role": self.role} if self.role != "line" else {}
        if line is not None:
            look |= {"colour": line.colour, "dash": line.dash, "source": line.source}
            look |= {"shared": 1} if line.shared else {}
        columns = {"x": self.x, "y": self.y, "spread": self.spread, "low": self.low, "high": self.high}
        look |= {name: place(column) for name, column in columns.items() if column is not None}
        optional = {
            "place": round(self.place, 3),
            "more": [place(column) for column in self.more],
            "seeds": list(self.seeds),
            "marked": self.marked,
            "own": int(self.own),
            "hidden": int(not self.legend),
            "bare": int(not self.points),
            "moment": asdict(self.moment) if self.moment else None,
        }
        return {"name": self.name, **look, **{name: value for name, value in optional.items() if value}}


@dataclass(slots=True)
class Chart:
    """One panel. `zoom`: the y range in which differences show. `fields`: what the columns of `Series.more` are.

    `narrow`: whether it always has the range `zoom`.
    """

    id: str
    title: str
    alternative: str
    x: Axis
    y: Axis
    series: list[Series]
    fields: Sequence[str] = ()
    zoom: tuple[float, float] | None = None
    narrow: bool = False

    @property
    def narrowed(self) -> tuple[float, float] | None:
        """`zoom` where it always is, or is much narrower than the whole range and holds all winning tickets' points."""
        if self.narrow:
            return self.zoom
        if self.zoom is None or self.zoom[1] - self.zoom[0] > NARROW * height(self.series):
            return None
        winning = (one for one in self.series if one.role == "line" and one.line is not None and one.line.winning)
        return self.zoom if all(y >= self.zoom[0] for one in winning for y in one.y if y is not None) else None

    def described(self) -> dict[str, object]:
        """What `templates/charts.js` reads. Columns stand there once: lines of one panel share most of theirs."""
        described: dict[str, object] = {"x": asdict(self.x), "y": asdict(self.y), "fields": list(self.fields)}
        described |= {"zoom": numbers(self.zoom)} if self.zoom else {}
        described |= {"narrow": 1} if self.narrow else {}
        columns: dict[tuple[object, ...], int] = {}
        series = [one.described(lambda column: columns.setdefault(tuple(column), len(columns))) for one in self.series]
        return described | {"series": series, "columns": list(columns)}


def height(series: Iterable[Series]) -> float:
    """Of the range of y that lines take with their bands."""
    bands = [one.band() for one in series]
    return float(max(np.nanmax(high) for _, high in bands) - min(np.nanmin(low) for low, _ in bands))


def as_floats(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    """A column as numbers, NaN for what is not there."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def rounded(value: float) -> float:
    """A number for JSON: at most five significant digits."""
    if isinstance(value, int | np.integer):
        return int(value)
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short


def numbers(values: Iterable[float | None]) -> Column:
    """A column for JSON, None for what is not there."""
    return [None if value is None or value != value else rounded(value) for value in values]


def percent(values: npt.ArrayLike) -> Column:
    """Fractions as percent for JSON, to three decimals."""
    shown = np.round(100 * np.asarray(values, dtype="float64"), 3)
    return [None if value != value else value for value in shown.tolist()]


def spelled(values: Sequence[tuple[str, float]], unit: str) -> str:
    """Names with their values, for a text alternative; the first few of many."""
    return _few([f"{name} {value:.4g}{unit}" for name, value in values])


def ends(series: Sequence[Series], unit: str) -> str:
    """Names with their values at their most pruned level, which each line has its own of, for a text alternative."""
    last = [(one.name, float(one.y[-1] or 0), float(one.x[-1])) for one in series]
    return _few([f"{name} {value:.4g}{unit} with {left:.3g} % remaining" for name, value, left in last])


def _few(said: list[str]) -> str:
    more = len(said) - NAMED
    return ", ".join(said[:NAMED]) + (f" and {more} further lines" if more > 0 else "")
