"""Winning tickets as Mehta 2019, section 2, defines them: as accurate as a dense network, in no more iterations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.experiment.spec import ANY, DENSE
from pipeline.experiment.spec_analysis import EarlyStop
from pipeline.report.analysis.convergence import Marks, convergence
from pipeline.report.analysis.paired import in_grid_order, paired, remarks, rows_at
from pipeline.report.analysis.pairings import NONE
from pipeline.report.analysis.statistics import ROUNDING, Floats, by_seed
from pipeline.report.unit import unit_of

if TYPE_CHECKING:
    from pipeline.experiment.spec import Spec

VALIDATION, END = "minimum of the validation loss", "end of training"
NUMBERS = ["accuracy", "reference_accuracy", "difference", "low", "high", "iterations", "reference_iterations"]
COLUMNS = [
    *["source", "target", "ticket", "round", "remaining", "reference", "measured_at", "unit", "n"],
    *[*NUMBERS, "wins", "wins_in", "remark"],
]
TYPES = {
    **dict.fromkeys(["source", "target", "ticket", "reference", "measured_at", "unit", "remark"], "string"),
    **dict.fromkeys(["round", "n"], "int64"),
    **dict.fromkeys(["remaining", *NUMBERS], "float64"),
    "wins": "boolean",
    "wins_in": "Int64",
}


def winning_tickets(results: pd.DataFrame, histories: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """One row for each (source, target, ticket, round) with a round above 0, in the grid's order: whether it wins.

    A ticket wins if it reaches at least its reference's test accuracy in at most as many iterations. The `reference` is
    round 0 of the kind of ticket that `analysis.reference` names, on the same source and target; without one the dense
    network trained from scratch on the target, its first draw. A ticket that all sources share, beside references that
    they do not share, has a row for each of them.

    Accuracy (in [0, 1]) and iteration of a run are those of the record of its smallest validation loss
    (`convergence.convergence`, early-stop), or of its end where the target has no validation images: `measured_at`. A
    run that diverged has the accuracy that it ended with, and wins in no time.

    `remaining`: weights, in [0, 1]. `n`: pairs, each a `unit` with a result of both; over these the means `accuracy`,
    `reference_accuracy`, `iterations` and `reference_iterations` (NaN where one diverged), `difference` of the
    accuracies with its 95 % t interval, `low` to `high`. `wins`: by the means, no test; NA where n is 0. `wins_in`: how
    many of the n win. `remark`: why there is no interval, "" where there is one.
    """
    first = results[(results["ticket"] != DENSE) | (results["draw"] == 0)]
    runs = _stops(first, histories)
    accuracies, iterations = by_seed(first, runs["accuracy"]), by_seed(first, runs["iteration"])
    rows = in_grid_order(_with_references(accuracies.points, spec), spec)
    accuracy, other_accuracy = (rows_at(accuracies.values, rows[name]) for name in ("place", "other"))
    iteration, other_iteration = (rows_at(iterations.values, rows[name]) for name in ("place", "other"))
    beside = paired(accuracy, other_accuracy)
    time = _mean(iteration, ~np.isnan(beside.values))
    other_time = _mean(other_iteration, ~np.isnan(beside.others))
    of_unit = _wins(accuracy - other_accuracy, iteration, other_iteration)
    reference, unit = spec.analysis.reference, unit_of(spec)
    said = f"round 0 of {reference}" if reference else "the dense network"
    missing = f"there is no {said} for it" if reference else "the grid trains no dense network for it"
    validated = set(first.loc[runs["validated"], "target"])
    table = rows.assign(
        remaining=rows["survivors"] / rows["total"],
        reference=reference or DENSE,
        measured_at=[VALIDATION if target in validated else END for target in rows["target"]],
        unit=unit,
        n=beside.n,
        accuracy=beside.mean,
        reference_accuracy=beside.other_mean,
        difference=beside.difference,
        low=beside.low,
        high=beside.high,
        iterations=np.where(np.isinf(time), np.nan, time),
        reference_iterations=np.where(np.isinf(other_time), np.nan, other_time),
        wins=pd.Series(_wins(beside.difference, time, other_time)).astype("boolean").mask(beside.n == 0),
        wins_in=pd.Series(of_unit.sum(axis=1)).astype("Int64").mask(beside.n == 0),
        remark=remarks(beside, np.where(rows["other"] == NONE, missing, "").astype(object), said, unit),
    )
    return table.reindex(columns=COLUMNS).astype(TYPES)


def _stops(results: pd.DataFrame, histories: pd.DataFrame) -> pd.DataFrame:
    """`accuracy`, `iteration` and whether it was `validated`, of each run; NaN where its records were not read."""
    stops = convergence(histories, EarlyStop()).set_index("stage")
    stage = results["stage"]
    stopped = stage.map(stops["converged"]).astype("boolean")
    last = stage.map(histories.groupby("stage")["iteration"].max()).astype("float64")
    validated = stopped.fillna(False).astype(bool)
    diverged = (~stopped.fillna(True)).astype(bool) | (results["status"] == "diverged").astype(bool)
    return pd.DataFrame(
        {
            "accuracy": stage.map(stops["accuracy"]).where(validated, results["test_accuracy"]).where(last.notna()),
            "iteration": stage.map(stops["iteration"]).where(validated, last).mask(diverged & last.notna(), np.inf),
            "validated": validated,
        }
    )


def _with_references(points: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """A row for each pruned ticket and reference of it: its `place` in `points`, and the `other`'s, or NONE."""
    name = spec.analysis.reference or DENSE
    zero = points[(points["ticket"] == name) & (points["round"] == 0)]
    places = {(row.source, row.target): row.Index for row in _rows(zero)}
    rows = []
    for row in _rows(points[(points["round"] > 0) & (points["ticket"] != DENSE)]):
        of_all = places.get((ANY, row.target), NONE)
        found = {row.source: places.get((row.source, row.target), of_all)}
        if row.source == ANY and of_all == NONE:
            found = {source: at for (source, target), at in places.items() if target == row.target} or found
        rows += [(row.Index, source, at) for source, at in found.items()]
    chosen = pd.DataFrame(rows, columns=["place", "source", "other"]).astype({"place": "int64", "other": "int64"})
    return points.iloc[chosen["place"]].reset_index(drop=True).assign(**chosen)


def _mean(values: Floats, counted: Marks) -> Floats:
    """Of each row over the units `counted`; infinite where one of them is, NaN where there is none."""
    n = counted.sum(axis=1)
    mean: Floats = np.divide(np.where(counted, values, 0).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0)
    return mean


def _wins(difference: Floats, time: Floats, other_time: Floats) -> Marks:
    """At least as accurate, in at most as many iterations; neither run may have diverged."""
    marks: Marks = (difference >= -ROUNDING) & (time <= other_time * (1 + ROUNDING)) & np.isfinite(other_time)
    return marks


def _rows(table: pd.DataFrame) -> Iterable[Any]:
    return table.itertuples()
