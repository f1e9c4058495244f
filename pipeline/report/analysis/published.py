"""Numbers of a paper beside ours: means over seeds of test accuracy and convergence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.experiment.spec import ANY, DENSE
from pipeline.report.analysis.convergence import when_converged
from pipeline.report.analysis.paired_tests import half_width
from pipeline.report.analysis.statistics import by_seed, moments

if TYPE_CHECKING:
    from pipeline.experiment.spec import Spec
    from pipeline.experiment.spec_analysis import PublishedTest, PublishedValue
    from pipeline.report.analysis.statistics import BySeed

POINT = ["target", "source", "ticket", "round"]
NUMBERS = ["mean", "low", "high", "published", "difference"]
COLUMNS = ["metric", "versus", *POINT, "fraction_pruned", "n", *NUMBERS]
TYPES = {
    **dict.fromkeys(["metric", "versus", "target", "source", "ticket"], "string"),
    **dict.fromkeys(["round", "n"], "Int64"),
    **dict.fromkeys(["fraction_pruned", *NUMBERS], "float64"),
}


def published_values(spec: Spec, metric: str) -> list[PublishedValue]:
    """What the grid gives of one metric (`analysis.published`)."""
    published = spec.analysis.published
    return [value for value in published.values if value.metric == metric] if published else []


def is_of(value: PublishedValue | PublishedTest, row: Any) -> bool:
    """Whether a published value is of a row that has `source`, `target`, `ticket` and `round`: what is not given is."""
    asked = [(getattr(value, name), getattr(row, name)) for name in POINT]
    return all(wanted is None or wanted == there for wanted, there in asked)


def beside_paper(results: pd.DataFrame, converged: pd.DataFrame, networks: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """One row for each published value and each point of the grid that it is of, in the grid's order of values.

    `metric`: `test_accuracy` (in [0, 1]), `convergence` (in iterations) or `accuracy_at_convergence`. `mean`, and `low`
    and `high` (its 95 % t interval, NaN for fewer than two seeds) are ours over `n` seeds with a result, for
    convergence those that converged. `versus`: the ticket that the number is relative to, seed by seed (accuracies
    minus, convergence divided by its own), where the value names one. `difference`: ours minus what is `published`. A
    value that is of no point has one row, with the names that it gives. So has a share of networks that succeed and is
    of none: those that are of some stand in `networks.networks`.
    """
    if spec.analysis.published is None:
        return pd.DataFrame(columns=COLUMNS).astype(TYPES)
    ours = {
        "test_accuracy": by_seed(results, results["test_accuracy"]),
        "convergence": when_converged(results, converged, "iteration"),
        "accuracy_at_convergence": when_converged(results, converged, "accuracy"),
    }
    rows = []
    for value in spec.analysis.published.values:
        seeds = ours.get(value.metric)
        found = [] if seeds is None else list(_measured(value, seeds))
        rows += [[value.metric, value.versus, *numbers, value.value] for numbers in found]
        if not found and not (seeds is None and any(is_of(value, row) for row in _rows(networks))):
            names = [getattr(value, name) for name in POINT]
            rows.append([value.metric, value.versus, *names, np.nan, pd.NA, np.nan, np.nan, np.nan, value.value])
    table = pd.DataFrame(rows, columns=COLUMNS[:-1])
    return table.assign(difference=table["mean"] - table["published"]).astype(TYPES)


def _measured(value: PublishedValue, seeds: BySeed) -> Iterable[list[Any]]:
    """Names, n, mean and interval of each point that a value is of, relative to another one if it says so."""
    points = seeds.points
    for place, row in enumerate(_rows(points)):
        if not is_of(value, row):
            continue
        of_seed = seeds.values[place]
        if value.versus is not None:
            same = (points["target"] == row.target) & (points["ticket"] == value.versus)
            if value.versus != DENSE:
                same &= points["source"].isin([row.source, ANY]) & (points["round"] == row.round)
            places = np.flatnonzero(same)
            if not len(places):
                continue
            other = seeds.values[places[0]]
            of_seed = of_seed / other if value.metric == "convergence" else of_seed - other
        n, mean, std = moments(of_seed[None])
        half = half_width(std, n)
        numbers = [mean[0], mean[0] - half[0], mean[0] + half[0]]
        yield [*(getattr(row, name) for name in [*POINT, "fraction_pruned"]), n[0], *numbers]


def _rows(table: pd.DataFrame) -> Iterable[Any]:
    return table.itertuples()
