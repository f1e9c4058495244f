"""What charts of test accuracy have in common: their axes, which line is whose, and where differences show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.report.analysis.pairings import own_sources
from pipeline.report.charts.chart import NARROW, Axis, Series, height
from pipeline.report.charts.columns import Columns, Places
from pipeline.report.charts.palette import Line, lines
from pipeline.report.findings import Findings

LEFT = Axis("weights remaining (%)", "left", "%")
ACCURACY = Axis("test accuracy (%)", unit="%")
SHOWN = 0.75
"""Of the winning tickets' points, in the range that shows differences if all of them would not show any."""


def look_of(findings: Findings) -> dict[tuple[str, str], Line]:
    """Lines of all (source, ticket) of the grid, so that a source looks the same in every chart."""
    pairs = findings.results[["source", "ticket"]].drop_duplicates()
    return lines(zip(pairs["source"], pairs["ticket"], strict=True), findings.spec.winning)


def own_lines(findings: Findings) -> set[tuple[str, str]]:
    """(target, source) of sources that train as the target does: their lines stand out among many."""
    spec = findings.spec
    return {(target.name, source.name) for target in spec.targets for source in own_sources(spec, target)}


@dataclass(frozen=True, slots=True)
class Looks:
    """`look_of` and `own_lines`, asked for once for all charts."""

    lines: Mapping[tuple[str, str], Line]
    own: set[tuple[str, str]]

    @classmethod
    def of(cls, findings: Findings) -> Looks:
        return cls(look_of(findings), own_lines(findings))

    def series(self, target: str, columns: Columns, places: Places) -> list[Series]:
        """The lines of a target, where `places` has (target, source, ticket)."""
        series = []
        for (source, ticket), line in self.lines.items():
            if (target, source, ticket) in places:
                series.append(columns.series(line.label, places[target, source, ticket]))
                series[-1].line, series[-1].own = line, (target, source) in self.own
        return series


def across(level: Series, least: float) -> None:
    """Stretch the point of a dense network from the left edge to the most pruned point."""
    level.x, level.seeds, level.marked = [100, least], (), ()
    level.y = [level.y[0]] * 2
    for edge in ("spread", "low", "high"):
        column = getattr(level, edge)
        setattr(level, edge, column and [column[0]] * 2)
    level.more = [[column[0]] * 2 for column in level.more]


def range_of_differences(series: list[Series]) -> tuple[float, float] | None:
    """Where the winning tickets' points and the dense network are, with a margin.

    If that is most of the whole range, because a line has collapsed: the upper three quarters of those points.
    """
    shown = [one for one in series if one.role == "level" or (one.line is not None and one.line.winning)]
    winning = [y for one in shown if one.role == "line" for y in one.y if y is not None]
    if not winning:
        return None
    high = max(float(one.band()[1].max()) for one in shown)
    levels = [y for one in shown if one.role == "level" for y in one.y[:1] if y is not None]
    lows = [min(y) for y in ([*winning, *levels], [float(np.quantile(winning, 1 - SHOWN)), *levels])]
    ranges = [(low - _margin(low, high), min(high + _margin(low, high), 100.5)) for low in lows]
    return ranges[0] if ranges[0][1] - ranges[0][0] <= NARROW * height(series) else ranges[1]


def _margin(low: float, high: float) -> float:
    return max(0.06 * (high - low), 0.05)
