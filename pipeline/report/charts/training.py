"""Charts of trainings: learning curves at one level of pruning, and when trainings converge."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.experiment.spec import DENSE
from pipeline.report.analysis.comparisons import chosen_level
from pipeline.report.analysis.convergence import convergence_curves
from pipeline.report.analysis.statistics import level_of
from pipeline.report.charts.chart import Axis, Chart, Series, ends, numbers, percent, spelled
from pipeline.report.charts.curves import ACCURACY, LEFT, look_of, own_lines
from pipeline.report.charts.palette import DENSE_LABEL
from pipeline.report.findings import Findings

RECORDS = 100
"""Records drawn of a learning curve: more cannot be told apart on a panel."""
ALL_RECORDS, FEWEST_RECORDS = 40_000, 12
"""Records of all learning curves together, which a grid of thousands of curves keeps to; but so many of each."""
ITERATION = Axis("iteration")
ITERATIONS = Axis("iterations to convergence")
CURVE = ["target", "source", "ticket"]
MISSED = ["n_not_converged", "n_diverged"]
NUMBERS = ["round", "mean", "std", "n", *MISSED]
FIELDS = ("round", "seeds that converged", "that did not", "of them diverged")
"""Of the hover over a point of convergence."""


def learning_level(findings: Findings) -> float | None:
    """The level at which learning curves are drawn: the matrices', or the most pruned one with a result.

    The latter where the grid has nothing to compare. None while there is neither.
    """
    chosen = chosen_level(findings.comparisons, findings.spec.analysis.fraction_pruned)
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
    records = here[[*CURVE, "seed", "stage"]].merge(findings.histories, on="stage")
    if records.empty:
        return []
    by_seed = records.groupby([*CURVE, "iteration", "seed"], sort=False)["test_accuracy"].mean()
    means = by_seed.groupby(level=[*CURVE, "iteration"], sort=False).agg(["mean", "std", "count"]).reset_index()
    means = means[means["mean"].notna()].sort_values("iteration", kind="stable")
    groups = means.groupby(CURVE, sort=False).indices
    columns = [means[name].to_numpy() for name in ("iteration", "mean", "std", "count")]
    looks, own = look_of(findings), own_lines(findings)
    most = min(RECORDS, max(FEWEST_RECORDS, ALL_RECORDS // len(groups)))
    charts = []
    for number, target in enumerate(dict.fromkeys(results["target"])):
        series = []
        for (source, ticket), line in [*looks.items(), (("any", DENSE), None)]:
            if (target, source, ticket) not in groups:
                continue
            places = _thinned(np.asarray(groups[target, source, ticket]), most)
            iteration, mean, std, count = (column[places] for column in columns)
            one = Series(DENSE_LABEL, numbers(iteration), percent(mean), line, spread=percent(std))
            one.more = [count.tolist()]
            if line is None:
                one.role = "reference"
            else:
                one.name, one.own = line.label, (target, source) in own
            series.append(one)
        if series:
            last = spelled([(one.name, float(one.y[-1] or 0)) for one in series], " %")
            words = (
                f"Test accuracy on {target} while training, with {100 * left:.3g} % of the weights. At the end: {last}."
            )
            charts.append(Chart(f"learning-{number}", f"target: {target}", words, ITERATION, ACCURACY, series, ("n",)))
    return charts


def _thinned(places: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """At most `most` of them, the first and the last among them."""
    if len(places) <= most:
        return places
    spread: npt.NDArray[np.int64] = np.unique(np.linspace(0, len(places) - 1, most).round().astype(np.int64))
    return places[spread]


def convergence_charts(findings: Findings) -> list[Chart]:
    """Iterations to convergence against weights remaining, one panel a target."""
    means = convergence_curves(findings.results, findings.convergence)
    dense = means[means["ticket"] == DENSE]
    means = means[means["mean"].notna() & (means["survivors"] > 0)]
    means = means.sort_values("survivors", ascending=False, kind="stable")
    groups = means.groupby(CURVE, sort=False).indices
    looks, own = look_of(findings), own_lines(findings)
    columns = {name: means[name].to_numpy() for name in NUMBERS}
    left = (100 * means["survivors"] / means["total"]).to_numpy()
    charts = []
    for number, target in enumerate(dict.fromkeys(findings.results["target"])):
        series = []
        for (source, ticket), line in looks.items():
            if (target, source, ticket) in groups:
                at = groups[target, source, ticket]
                more = [columns[name][at].tolist() for name in ("round", "n")]
                more += [[count or None for count in columns[name][at].tolist()] for name in MISSED]
                one = Series(line.label, numbers(left[at]), numbers(columns["mean"][at]), line, more=more)
                one.spread, one.own = numbers(columns["std"][at]), (target, source) in own
                one.marked = np.flatnonzero(columns["n_diverged"][at]).tolist()
                series.append(one)
        if not series:
            continue
        words = ends(series, " iterations")
        series += _level(dense[(dense["target"] == target) & dense["mean"].notna()], min(one.x[-1] for one in series))
        alternative = f"Iterations until training on {target} has converged; of tickets pruned the most: {words}."
        charts.append(
            Chart(f"convergence-{number}", f"target: {target}", alternative, LEFT, ITERATIONS, series, FIELDS)
        )
    return charts


def _level(dense: pd.DataFrame, least: float) -> list[Series]:
    """The dense network's iterations as a level, from the left edge to the most pruned point."""
    levels = []
    for mean, std, n, *missed in dense[NUMBERS[1:]].itertuples(index=False):
        level = Series(DENSE_LABEL, [100, least], numbers([mean, mean]), role="level", spread=numbers([std, std]))
        level.more = [[0, 0], [int(n)] * 2, *([int(count) or None] * 2 for count in missed)]
        levels.append(level)
    return levels
