"""When trainings converged, by the rule of the spec."""

from dataclasses import replace
from itertools import count

import numpy as np
import pandas as pd

from pipeline.experiment.spec_analysis import Convergence, MovingAverage, Settles
from pipeline.recipes.steps import Steps
from pipeline.report.analysis.over_seeds import ROUNDING, BySeed, by_seed, extremes, moments
from pipeline.report.analysis.paired_tests import Floats, Marks, Whole
from pipeline.report.findings import Table
from pipeline.report.histories import HISTORIES

COLUMNS = ["stage", "converged", "iteration", "epoch", "accuracy"]
LOSSES = ["train_loss", "test_loss"]


def convergence(histories: pd.DataFrame, rule: Convergence) -> pd.DataFrame:
    """One row for each stage of `histories`, in its order: whether the training converged, and when.

    Columns: `stage`, `converged` (nullable boolean; NA where the rule cannot tell), `iteration` and `epoch` of the
    record at which it had converged, `accuracy` (test accuracy of that record, [0, 1]); NaN where it did not: that is a
    value of its own, not the last iteration. A training whose last record has no finite loss diverged: it did not
    converge, however constant its accuracy.

    `settles`: the first record from which on test accuracy stays within `tolerance` of the last record's. Where that is
    the last of several records, the training did not converge. A single record cannot tell.

    `moving-average`, Frankle & Carbin 2018, footnote 5: "the moment at which the 1000-iteration moving average of test
    accuracy changed by less than 0.002 for 1000 consecutive iterations". The average at a record is over the records
    in the `window` that ends with it, and there is none before a whole window has passed. Converged is the first record
    from which on every average of the following `patience` differs from its own by less than `tolerance`. The patience
    must lie within the training and hold a record. The moment is where the patience begins, not where it ends.
    A training shorter than window and patience, or whose records are further apart than the patience, cannot tell.

    `early-stop`: the record with the smallest validation loss, the first of equals, even if it is the last one. Without
    validation losses, or with a single record, it cannot tell.
    """
    numbers, order = pd.factorize(histories["stage"])
    # by number: sorting millions of keys as text takes ten times as long
    sequence = np.lexsort((histories["iteration"].to_numpy(), numbers))
    records = histories.drop(columns="stage").iloc[sequence].reset_index(drop=True)
    stage: Whole = numbers[sequence].astype(np.int64)
    marks, judged = _judged(records, stage, rule)
    lost = records[LOSSES].isna()
    # a network that is evaluated without training has no loss of training
    lost.loc[records["iteration"] == 0, "train_loss"] = False
    diverged = lost.any(axis=1).to_numpy(dtype=bool)[_is_last(stage)][stage]
    hits = np.flatnonzero(marks & ~diverged)
    number, place = np.unique(stage[hits], return_index=True)
    first = records.iloc[hits[place]].set_index(number).reindex(range(len(order)))
    known = np.isin(np.arange(len(order)), stage[judged | diverged])
    return pd.DataFrame(
        {
            "stage": pd.Series(order, dtype="string"),
            "converged": first["iteration"].notna().astype("boolean").where(known).array,
            "iteration": first["iteration"].to_numpy(dtype="float64"),
            "epoch": first["epoch"].to_numpy(dtype="float64"),
            "accuracy": first["test_accuracy"].to_numpy(dtype="float64"),
        },
        columns=COLUMNS,
    )


CONVERGENCE = Table(
    "convergence",
    lambda findings: convergence(findings.of(HISTORIES), findings.spec.analysis.convergence),
)


def convergence_curves(results: pd.DataFrame, converged: pd.DataFrame) -> pd.DataFrame:
    """Convergence over seeds, one row for each (source, target, ticket, round), in the order of `results`.

    Columns: those that name the curve and the point, then `mean` and `std` (ddof = 1) of the iterations over the seeds
    that converged, `n` (how many those are), `n_not_converged` (seeds that did not: by the rule, or since they
    diverged) and `n_diverged` (of them). Any other seed whose history is not there, or of which the rule cannot tell,
    is in none of these. A mean with seeds that did not converge is of the faster ones only. `least` and `greatest` are
    of all runs of the seeds that converged. `mean_accuracy`, `std_accuracy`, `least_accuracy` and `greatest_accuracy`
    are the same of test accuracy, [0, 1], at the moment of convergence.
    """
    of_stage = converged.set_index("stage")
    diverged = (results["status"] == "diverged").astype(bool)
    missed = _missed(results, converged)
    iterations = by_seed(results, results["stage"].map(of_stage["iteration"]))
    failed = _seeds_with(results, missed)
    n, mean, std = moments(np.where(failed, np.nan, iterations.values))
    counts = {"n_not_converged": failed.sum(axis=1), "n_diverged": _seeds_with(results, diverged).sum(axis=1)}
    accuracies = by_seed(results, results["stage"].map(of_stage["accuracy"]))
    _, mean_accuracy, std_accuracy = moments(np.where(failed, np.nan, accuracies.values))
    counted = ~failed.ravel()[iterations.cells]
    more: dict[str, Floats] = {"mean_accuracy": mean_accuracy, "std_accuracy": std_accuracy}
    for column, suffix in (("iteration", ""), ("accuracy", "_accuracy")):
        runs = results["stage"].map(of_stage[column]).to_numpy(dtype="float64")
        bounds = extremes(iterations, np.where(counted, runs, np.nan))
        more |= {f"{name}{suffix}": values for name, values in zip(("least", "greatest"), bounds, strict=True)}
    return iterations.points.assign(mean=mean, std=std, n=n, **counts, **more)


def when_converged(results: pd.DataFrame, converged: pd.DataFrame, column: str) -> BySeed:
    """A column of `convergence` by point and seed, NaN for seeds that did not converge."""
    seeds = by_seed(results, results["stage"].map(converged.set_index("stage")[column]))
    return replace(seeds, values=np.where(_seeds_with(results, _missed(results, converged)), np.nan, seeds.values))


def _missed(results: pd.DataFrame, converged: pd.DataFrame) -> "pd.Series[bool]":
    """Runs that did not converge. A seed of several runs has converged when all of them have."""
    # NA, of what cannot be told or was not read, is no failure
    has_converged = results["stage"].map(converged.set_index("stage")["converged"]).astype("boolean").fillna(True)
    return ~has_converged.astype(bool) | (results["status"] == "diverged").astype(bool)


def _seeds_with(results: pd.DataFrame, runs: "pd.Series[bool]") -> Marks:
    """[points, seeds]: whether any run of the seed is one of `runs`."""
    marks: Marks = ~np.isnan(by_seed(results, runs.astype("float64").where(runs)).values)
    return marks


def _judged(records: pd.DataFrame, stage: Whole, rule: Convergence) -> tuple[Marks, Marks]:
    """By record: whether its training has converged there, and whether the rule can tell."""
    if isinstance(rule, Settles):
        return _settled(records, stage, rule.tolerance)
    return _steady(records, stage, rule) if isinstance(rule, MovingAverage) else _best(records, stage)


def _best(records: pd.DataFrame, stage: Whole) -> tuple[Marks, Marks]:
    """Records with the smallest validation loss of their training; and those of trainings that have several."""
    loss = records["validation_loss"]
    known = loss.notna().groupby(stage).transform("sum").to_numpy() > 1
    least = (loss == loss.groupby(stage).transform("min")).to_numpy(dtype=bool)
    return least & known, known


def _settled(records: pd.DataFrame, stage: Whole, tolerance: float) -> tuple[Marks, Marks]:
    """Records from which on all are near the last one's accuracy, never the last; and those that have a later one."""
    accuracy = records["test_accuracy"].to_numpy(dtype="float64")
    last = _is_last(stage)
    final = accuracy[last][stage]
    far = ~(np.abs(accuracy - final) <= tolerance + ROUNDING)
    # from a record on none is far: counted from the end of its stage
    far_later = pd.Series(far[::-1]).groupby(stage[::-1]).cumsum().to_numpy()[::-1]
    return (far_later == 0) & ~last, ~last


def _steady(records: pd.DataFrame, stage: Whole, rule: MovingAverage) -> tuple[Marks, Marks]:
    """Records after which the moving average stays where it is for the whole patience; and those where it could."""
    moment = records["iteration"].to_numpy(dtype="float64")
    window, patience = _iterations(rule.window, records, stage), _iterations(rule.patience, records, stage)
    average = _moving_average(records["test_accuracy"].to_numpy(dtype="float64"), moment, stage, window)
    fits = _after_window(moment, stage, window) & (moment + patience <= moment[_is_last(stage)][stage])
    steady = ~np.isnan(average)
    followed = np.zeros(len(stage), dtype=bool)
    for lag in count(1):
        # at [i]: whether record i + lag is of the same training and within the patience of record i
        within = (stage[lag:] == stage[:-lag]) & (moment[lag:] - moment[:-lag] <= patience[:-lag])
        if not within.any():
            break
        changed = ~(np.abs(average[lag:] - average[:-lag]) < rule.tolerance - ROUNDING)
        steady[:-lag] &= ~(within & changed)
        followed[:-lag] |= within
    judged = fits & followed
    return steady & judged, judged


def _moving_average(accuracy: Floats, moment: Floats, stage: Whole, window: Floats) -> Floats:
    """At each record the mean over the records in (moment - window, moment]; NaN before a whole window has passed."""
    total, held = accuracy.copy(), np.ones(len(accuracy))
    for lag in count(1):
        # at [i]: whether record i is of the same training and in the window of record i + lag
        inside = (stage[lag:] == stage[:-lag]) & (moment[lag:] - moment[:-lag] < window[lag:])
        if not inside.any():
            break
        total[lag:] += np.where(inside, accuracy[:-lag], 0)
        held[lag:] += inside
    return np.where(_after_window(moment, stage, window), total / held, np.nan)


def _after_window(moment: Floats, stage: Whole, window: Floats) -> Marks:
    """Records by which a whole window has passed."""
    passed: Marks = (window > 0) & (moment - window >= _beginnings(moment, stage))
    return passed


def _beginnings(moment: Floats, stage: Whole) -> Floats:
    """Where the training of each record began, as far as its records tell: one interval before the first.

    Not 0: a rewound network may train only what was left of the schedule.
    """
    first = _is_first(stage)
    second = ~first & np.append(False, first)[:-1]
    begins = moment[first]
    begins[stage[second]] -= moment[second] - begins[stage[second]]
    return np.maximum(begins, 0)[stage]


def _iterations(steps: Steps, records: pd.DataFrame, stage: Whole) -> Floats:
    """`steps` in iterations of each record's training, which has its own number of them an epoch."""
    an_epoch = (records["iteration"] / records["epoch"]).to_numpy(dtype="float64")[_is_last(stage)].round()
    return np.asarray(steps.epochs * an_epoch + steps.extra, dtype="float64")[stage]


def _is_first(stage: Whole) -> Marks:
    first: Marks = np.diff(stage, prepend=-1) != 0
    return first


def _is_last(stage: Whole) -> Marks:
    last: Marks = np.diff(stage, append=-1) != 0
    return last
