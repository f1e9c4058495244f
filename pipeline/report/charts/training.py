"""Charts of trainings: learning curves at one level of pruning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.experiment.spec import DENSE
from pipeline.report.analysis.comparisons import LEVEL
from pipeline.report.analysis.statistics import level_of
from pipeline.report.charts.bands import Bands, Spread, band_fields, spread_in_words
from pipeline.report.charts.chart import Axis, Chart, Series, numbers, percent, spelled
from pipeline.report.charts.lines import ACCURACY, look_of, own_lines
from pipeline.report.charts.palette import DENSE_LABEL
from pipeline.report.findings import Findings
from pipeline.report.histories import HISTORIES

RECORDS = 100
"""Records drawn of a learning curve: more cannot be told apart on a panel."""
ALL_RECORDS, FEWEST_RECORDS = 40_000, 12
"""Records of all learning curves together, which a grid of thousands of curves keeps to; but so many of each."""
ITERATION = Axis("iteration")
CURVE = ["target", "source", "ticket"]


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
    records = Records.of(findings, here, CURVE)
    looks, own = look_of(findings), own_lines(findings)
    spread = findings.spec.analysis.spread
    charts = []
    for number, target in enumerate(dict.fromkeys(results["target"])):
        series = []
        for (source, ticket), line in [*looks.items(), (("any", DENSE), None)]:
            if (target, source, ticket) not in records.groups:
                continue
            one = records.series(DENSE_LABEL if line is None else line.label, (target, source, ticket))
            if line is None:
                one.role = "reference"
            else:
                one.line, one.own = line, (target, source) in own
            series.append(one)
        if series:
            last = spelled([(one.name, float(one.y[-1] or 0)) for one in series], " %")
            words = (
                f"Test accuracy on {target} while training, with {100 * left:.3g} % of the weights "
                f"({spread_in_words(spread)}). At the end: {last}."
            )
            name, fields = f"learning-{number}", learning_fields(spread)
            charts.append(Chart(name, f"target: {target}", words, ITERATION, ACCURACY, series, fields))
    return charts


def learning_fields(spread: Spread) -> tuple[str, ...]:
    """What the hover calls the columns of the series of `Records`."""
    return ("n", *band_fields(spread, "%"))


@dataclass(frozen=True, slots=True)
class Records:
    """Learning curves over seeds as columns for JSON."""

    groups: dict[Any, npt.NDArray[np.int64]]
    """The rows of each curve, in the order of its iterations."""
    x: list[Any]
    y: list[Any]
    bands: Bands
    n: list[int]
    """Seeds."""
    most: int
    """Records drawn of each."""

    @classmethod
    def of(cls, findings: Findings, here: pd.DataFrame, by: list[str]) -> Records:
        """Of the trainings of some results; each value of the columns `by` is one curve."""
        records = here[[*by, "seed", "stage"]].merge(findings.of(HISTORIES), on="stage")
        records = records[records["iteration"] > 0]  # a network that was only evaluated has learned nothing
        by_seed = records.groupby([*by, "iteration", "seed"], sort=False)["test_accuracy"].mean()
        means = by_seed.groupby(level=[*by, "iteration"], sort=False).agg(["mean", "std", "count"])
        runs = records.groupby([*by, "iteration"], sort=False)["test_accuracy"].agg(least="min", greatest="max")
        means = means.join(runs).reset_index()
        means = means[means["mean"].notna()].sort_values("iteration", kind="stable")
        groups: dict[Any, Any] = dict(means.groupby(by, sort=False).indices)
        return cls(
            groups=groups,
            x=numbers(means["iteration"]),
            y=percent(means["mean"]),
            bands=Bands.of(findings.spec.analysis.spread, means, percent),
            n=means["count"].tolist(),
            most=min(RECORDS, max(FEWEST_RECORDS, ALL_RECORDS // max(1, len(groups)))),
        )

    def series(self, name: str, curve: Any) -> Series:
        at = _thinned(np.asarray(self.groups[curve]), self.most).tolist()
        x, y, n = ([column[place] for place in at] for column in (self.x, self.y, self.n))
        return Series(name, x, y, more=[n, *self.bands.more(at)], **self.bands.at(at))


def _thinned(places: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """At most `most` of them, the first and the last among them."""
    if len(places) <= most:
        return places
    spread: npt.NDArray[np.int64] = np.unique(np.linspace(0, len(places) - 1, most).round().astype(np.int64))
    return places[spread]
