"""Learning curves: at the level that the report speaks of, or at several that the grid asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.experiment.spec import ANY, DENSE
from pipeline.report.analysis.comparisons import LEVEL
from pipeline.report.analysis.convergence import CONVERGENCE, convergence_curves
from pipeline.report.analysis.levels import is_far, level_of, nearest_levels
from pipeline.report.charts.chart import (
    NAMED,
    NARROW,
    Chart,
    Moment,
    Series,
    as_floats,
    height,
    rounded,
    spelled,
)
from pipeline.report.charts.columns import Columns, Places, spread_in_words
from pipeline.report.charts.lines import ACCURACY, Looks, look_of
from pipeline.report.charts.palette import DENSE_LABEL
from pipeline.report.charts.training import CURVE, ITERATION, learning_fields, records_by_curve
from pipeline.report.findings import Findings
from pipeline.report.rows import rows_of
from pipeline.report.sections.section import Fragment, Section, flat
from pipeline.report.stills.panels import panels_figure
from pipeline.report.wording import percent_left

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_level(findings: Findings) -> float | None:
    """The level at which learning curves are drawn: the matrices', or the most pruned one with a result.

    The latter where the grid has nothing to compare. None while there is neither.
    """
    chosen = findings.of(LEVEL)
    if chosen is not None:
        return chosen
    results = findings.results
    measured = results["test_accuracy"].notna() & (results["survivors"] > 0) & (results["ticket"] != DENSE)
    levels = level_of(results)[measured]
    return float(levels.min()) if len(levels) else None


def learning_curves(findings: Findings, left: float) -> list[Chart]:
    """Mean test accuracy over seeds against the iteration, at the level `left` and of the dense network."""
    results = findings.results
    here = results[(level_of(results) == left) | (results["ticket"] == DENSE)]
    # of several rounds at one level the comparisons have the first
    here = here[here["round"] == here.groupby(CURVE)["round"].transform("min")]
    records, places = records_by_curve(findings, here, CURVE)
    looks, spread = Looks.of(findings), findings.spec.analysis.spread
    charts = []
    for number, target in enumerate(dict.fromkeys(results["target"])):
        series = looks.series(target, records, places)
        if (target, ANY, DENSE) in places:
            series.append(records.series(DENSE_LABEL, places[target, ANY, DENSE]))
            series[-1].role = "reference"
        if series:
            last = spelled([(one.name, float(one.y[-1] or 0)) for one in series], " %")
            words = (
                f"Test accuracy on {target} while training, with {100 * left:.3g} % of the weights "
                f"({spread_in_words(spread)}). At the end: {last}."
            )
            name, fields = f"learning-{number}", learning_fields(spread)
            charts.append(Chart(name, f"target: {target}", words, ITERATION, ACCURACY, series, fields))
    return charts


FIRST = 0.25
"""Place of the least pruned ticket in the family of colours: thin lines of the first colours are hard to see."""
MARGIN = 0.08
"""Of the range of y, above and below it."""


@dataclass(frozen=True, slots=True)
class LearningPanels:
    """`rows`: for each target and source one chart a ticket, winning tickets first.

    `remarks`: sentences about levels that are not those asked for, and about lines that are not in sight.
    """

    rows: list[list[Chart]]
    remarks: list[str]


def learning_panels(findings: Findings, asked: Sequence[float]) -> LearningPanels:
    """Mean test accuracy against the iteration at each level asked for, and of the dense network.

    The moment of convergence is a dot, its bar the spread of the iterations. All charts of a target have one range of
    y, narrowed to where the lines end.
    """
    results = findings.results.assign(left=level_of(findings.results))
    results = results[results["test_accuracy"].notna() & (results["survivors"] > 0)]
    dense = set(results.loc[results["ticket"] == DENSE, "target"])
    # round 0 of a chain is the dense network, where the grid has one
    family = results[results["ticket"].isin(findings.spec.winning)]
    family = family[(family["round"] > 0) | ~family["target"].isin(dense)]
    chosen: dict[tuple[str, str], dict[float, float]] = {}
    for (target, source), rows in family.groupby(["target", "source"], sort=False):
        there = {*rows["left"], *([1.0] if target in dense else [])}
        chosen[str(target), str(source)] = nearest_levels(asked, there)
    panels = _Panels.of(findings, results, {level for found in chosen.values() for level in found.values()})
    rows_of_target: dict[str, list[list[Chart]]] = {}
    for number, ((target, source), found) in enumerate(chosen.items()):
        levels = sorted(set(found.values()) - ({1.0} if target in dense else set()), reverse=True)
        rows_of_target.setdefault(target, []).append(panels.row(number, target, source, levels))
    below = [words for rows in rows_of_target.values() for words in _narrow([chart for row in rows for chart in row])]
    pairs = {pair for found in chosen.values() for pair in found.items()}
    met = {wish for wish, level in pairs if not is_far(wish, level)}
    others = {(wish, level) for wish, level in pairs if wish not in met}
    remarks = [
        f"There is no round with {percent_left(wish)} of the weights: {percent_left(level)} is the nearest."
        for wish, level in sorted(others, reverse=True)
    ]
    if below:
        more = f" and {len(below) - NAMED} further lines" if len(below) > NAMED else ""
        remarks.append(f"Below the range of y: {', '.join(below[:NAMED])}{more}.")
    return LearningPanels([row for rows in rows_of_target.values() for row in rows if row], remarks)


@dataclass(frozen=True, slots=True)
class _Panels:
    findings: Findings
    records: Columns
    places: Places
    moments: Mapping[tuple[object, ...], SimpleNamespace]
    """Rows of `convergence_curves`, by the columns of CURVE and the level."""

    @classmethod
    def of(cls, findings: Findings, results: pd.DataFrame, levels: set[float]) -> _Panels:
        by = [*CURVE, "left"]
        here = results[results["left"].isin(levels) | (results["ticket"] == DENSE)]
        # of several rounds at one level the first, as everywhere
        here = here[here["round"] == here.groupby(by)["round"].transform("min")]
        converged = convergence_curves(findings.results, findings.of(CONVERGENCE))
        converged = converged.assign(left=level_of(converged)).sort_values("round", kind="stable").drop_duplicates(by)
        moments: dict[tuple[object, ...], SimpleNamespace] = {
            (row.target, row.source, row.ticket, row.left): row for row in rows_of(converged)
        }
        return cls(findings, *records_by_curve(findings, here, by), moments)

    def row(self, number: int, target: str, source: str, levels: list[float]) -> list[Chart]:
        charts: list[Chart] = []
        spread = self.findings.spec.analysis.spread
        for (of, ticket), line in look_of(self.findings).items():
            if of not in (source, ANY):
                continue
            series = []
            for place, level in enumerate(levels):
                one = self._series(f"{percent_left(level)} of the weights", (target, of, ticket, level))
                for found in one:
                    found.role, found.points = "step", False
                    found.place = FIRST + (1 - FIRST) * (place / (len(levels) - 1) if len(levels) > 1 else 1)
                series += one
            if not series:
                continue
            for found in self._series(DENSE_LABEL, (target, ANY, DENSE, 1.0)):
                found.role = "reference"
                series.append(found)
            name = f"learning-{number}-{len(charts)}"
            words = f"Test accuracy on {target} while training, {line.label} ({spread_in_words(spread)})."
            words += f" {_at_the_end(series)}"
            fields = learning_fields(spread)
            charts.append(
                Chart(name, f"{target}: {line.label}", words, ITERATION, ACCURACY, series, fields, narrow=True)
            )
        return charts

    def _series(self, name: str, curve: tuple[str, str, str, float]) -> list[Series]:
        if curve not in self.places:
            return []
        one = self.records.series(name, self.places[curve])
        row = self.moments.get(curve)
        if row is not None and row.n > 0:
            one.moment = _moment(row, self.findings)
        return [one]


def _moment(row: SimpleNamespace, findings: Findings) -> Moment:
    """Where the training has converged, by a row of `convergence_curves`."""
    is_range = findings.spec.analysis.spread == "range"
    std = 0.0 if np.isnan(row.std) else float(row.std)
    low, high = (row.least, row.greatest) if is_range else (row.mean - std, row.mean + std)
    spread = f", from {low:.4g} to {high:.4g}" if is_range else f" ± {std:.4g}"
    words = [
        f"converged at iteration {row.mean:.4g}{spread}",
        f"test accuracy then: {100 * row.mean_accuracy:.4g} %",
        f"seeds that converged: {row.n}",
        f"that did not: {row.n_not_converged}",
    ]
    x, y, low, high = (rounded(value) for value in (row.mean, 100 * row.mean_accuracy, low, high))
    return Moment(x, y, low, high, words)


def _at_the_end(series: Sequence[Series]) -> str:
    last = spelled([(one.name, float(one.y[-1] or 0)) for one in series], " %")
    moments = [(one.name, float(one.moment.x)) for one in series if one.moment is not None]
    never = len(series) - len(moments)
    converged = f" Converged: {spelled(moments, ' iterations')}." if moments else ""
    return f"At the end: {last}.{converged}" + (f" {never} of {len(series)} lines have not converged." if never else "")


def _narrow(charts: Sequence[Chart]) -> list[str]:
    """Give all the same range of y, in which the lines end and converge.

    Where controls end so low that it would be most of the whole range, theirs are left out. Returns lines that are
    below it as a whole.
    """
    lines = [(chart, one) for chart in charts for one in chart.series]
    if not lines:
        return []
    high = max(float(np.nanmax(one.band()[1])) for _, one in lines)
    first = {id(one) for chart in charts if _is_winning(chart) for one in chart.series}
    low = min(_lowest(one) for _, one in lines)
    if high - low > NARROW * height(one for _, one in lines):
        low = min((_lowest(one) for _, one in lines if id(one) in first), default=low)
    room = max(MARGIN * (high - low), 0.05)
    low, high = max(low - room, 0), min(high + room, 100.5)
    for chart in charts:
        chart.zoom = (low, high)
    return [f"{one.name} ({chart.title})" for chart, one in lines if float(np.nanmax(as_floats(one.y))) < low]


def _lowest(one: Series) -> float:
    """Where a line ends, or was when it converged."""
    return min(float(one.y[-1] or 0), float(one.moment.y) if one.moment else np.inf)


def _is_winning(chart: Chart) -> bool:
    """Whether it is the first of its row."""
    return chart.id.endswith("-0")


def _panels(findings: Findings) -> LearningPanels:
    asked = findings.spec.analysis.levels
    return LearningPanels([], []) if asked is None else learning_panels(findings, asked)


def _curves(findings: Findings, level: float | None) -> list[Chart]:
    asked = findings.spec.analysis.levels
    return learning_curves(findings, level) if level is not None and asked is None else []


def _page(findings: Findings) -> Fragment:
    level, panels = learning_level(findings), _panels(findings)
    charts = _curves(findings, level)
    values = {"learning": charts, "learning_panels": panels, "learning_level": level}
    return Fragment(values, [*charts, *flat(panels.rows)])


def learning_figure(findings: Findings) -> Figure | None:
    """Learning curves at the level of the matrices, or a row of panels for each target and source at several levels."""
    spread = spread_in_words(findings.spec.analysis.spread)
    if findings.spec.analysis.levels is not None:
        return _levels_figure(findings, spread)
    level = learning_level(findings)
    if level is None:
        return None
    title = f"{findings.name}: training with {percent_left(level)} of the weights"
    title += f"\n{spread}" * (findings.spec.analysis.spread == "range")
    return panels_figure(_curves(findings, level), title)


def _levels_figure(findings: Findings, spread: str) -> Figure | None:
    panels = _panels(findings)
    title = f"{findings.name}: {spread}\ndots: convergence, with the same spread of iterations"
    columns = min(4, max(map(len, panels.rows), default=1))
    return panels_figure(flat(panels.rows), "\n".join([title, *panels.remarks]), columns=columns)


SECTION = Section("learning", "Learning", "Learning curves", _page, stills={"learning": learning_figure})
