"""Numbers of a paper beside ours: mean test accuracy and convergence over seeds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.report.analysis.convergence import convergence_curves
from pipeline.report.analysis.paired_tests import half_width

if TYPE_CHECKING:
    from pipeline.experiment.spec import Spec
    from pipeline.experiment.spec_analysis import PublishedValue

POINT = ["target", "source", "ticket", "round"]
NUMBERS = ["mean", "low", "high", "published", "difference"]
COLUMNS = ["metric", *POINT, "fraction_pruned", "n", *NUMBERS]
TYPES = {
    **dict.fromkeys(["metric", "target", "source", "ticket"], "string"),
    **dict.fromkeys(["round", "n"], "Int64"),
    **dict.fromkeys(["fraction_pruned", *NUMBERS], "float64"),
}


def published_values(spec: Spec, metric: str) -> list[PublishedValue]:
    """What the grid gives of one metric (`analysis.published`)."""
    published = spec.analysis.published
    return [value for value in published.values if value.metric == metric] if published else []


def is_of(value: PublishedValue, row: Any) -> bool:
    """Whether a published value is of a row that has `source`, `target`, `ticket` and `round`: what is not given is."""
    asked = [(getattr(value, name), getattr(row, name)) for name in POINT]
    return all(wanted is None or wanted == there for wanted, there in asked)


def beside_paper(
    curves: pd.DataFrame, results: pd.DataFrame, converged: pd.DataFrame, networks: pd.DataFrame, spec: Spec
) -> pd.DataFrame:
    """One row for each published value and each point of the grid that it is of, in the grid's order of values.

    `metric`: `test_accuracy` (in [0, 1]) or `convergence` (in iterations). `mean`, and `low` and `high` (its 95 % t
    interval, NaN for fewer than two seeds) are ours over `n` seeds with a result, for convergence those that converged.
    `difference`: ours minus what is `published`. A value that is of no point has one row, with the names that it gives.
    So has a share of networks that succeed and is of none: those that are of some stand in `networks.networks`.
    """
    if spec.analysis.published is None:
        return pd.DataFrame(columns=COLUMNS).astype(TYPES)
    steps = convergence_curves(results, converged)
    half = half_width(steps["std"].to_numpy(), steps["n"].to_numpy())
    ours = {"test_accuracy": curves, "convergence": steps.assign(low=steps["mean"] - half, high=steps["mean"] + half)}
    rows = []
    for value in spec.analysis.published.values:
        points = [row for row in _rows(ours.get(value.metric, networks)) if is_of(value, row)]
        for row in points if value.metric in ours else ():
            names = [getattr(row, name) for name in [*POINT, "fraction_pruned", "n", "mean", "low", "high"]]
            rows.append([value.metric, *names, value.value, row.mean - value.value])
        if not points:
            names = [getattr(value, name) for name in POINT]
            rows.append([value.metric, *names, np.nan, pd.NA, np.nan, np.nan, np.nan, value.value, np.nan])
    return pd.DataFrame(rows, columns=COLUMNS).astype(TYPES)


def _rows(table: pd.DataFrame) -> Iterable[Any]:
    return table.itertuples()
