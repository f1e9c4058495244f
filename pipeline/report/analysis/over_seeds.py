"""Accuracy over seeds: one row of numbers a point, its mean, spread and interval.

The unit is the seed: several values of one seed are averaged first.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.report.analysis.paired_tests import Floats, Whole, half_width
from pipeline.report.findings import Table

CURVE = ["experiment", "model", "source", "target", "source_optimizer", "target_optimizer", "ticket"]
POINT = ["round", "fraction_pruned", "survivors", "total"]
ROUNDING = 1e-12
"""Accuracies are quotients of counts: differences this small are rounding."""


@dataclass(frozen=True, slots=True)
class BySeed:
    """Values of every point, seeds side by side. Neither depends on the order of the table's rows."""

    points: pd.DataFrame
    """CURVE and POINT, one row a point, in the order in which the table first has them; index 0, 1, 2 ..."""
    values: Floats
    """[points, seeds]; seeds ascending, NaN where a seed has no value."""
    cells: Whole
    """[rows of the table]: place of the row's point and seed in `values`, flattened."""


def by_seed(table: pd.DataFrame, values: "pd.Series[float]") -> BySeed:
    """`values` (one for each row of the results table) by point and seed, several of one seed averaged."""
    keys = table.reset_index(drop=True)[[*CURVE, *POINT]]
    place = keys.groupby([*CURVE, *POINT], dropna=False, sort=False).ngroup()
    points = keys[~place.duplicated()].reset_index(drop=True)
    seeds, seed = np.unique(table["seed"].to_numpy(), return_inverse=True)
    shape = len(points), len(seeds)
    cells: Whole = place.to_numpy(dtype="int64") * len(seeds) + seed
    numbers = values.to_numpy(dtype="float64")
    # ascending within a cell, so that the sum's rounding does not depend on the order of the rows
    order = np.lexsort((numbers, cells))
    there = order[~np.isnan(numbers[order])]
    count = np.bincount(cells[there], minlength=shape[0] * shape[1])
    total = np.bincount(cells[there], weights=numbers[there], minlength=len(count))
    means = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return BySeed(points, means.reshape(shape), cells)


def moments(values: Floats) -> tuple[Whole, Floats, Floats]:
    """How many values each row of `values` [rows, seeds] has, their mean, and their standard deviation (ddof = 1).

    NaN are no values. The deviation is NaN for fewer than two, and 0 exactly where values differ by rounding only.
    """
    there = ~np.isnan(values)
    n: Whole = there.sum(axis=1)
    mean = np.divide(np.where(there, values, 0).sum(axis=1), n, out=np.full(len(n), np.nan), where=n > 0)
    away = np.where(there, values - mean[:, None], 0)
    std = np.sqrt(np.divide((away**2).sum(axis=1), n - 1, out=np.full(len(n), np.nan), where=n > 1))
    # the mean of equal values may differ from them in its last digit
    equal = (n > 1) & (np.abs(away).max(axis=1, initial=0) < ROUNDING)
    return n, mean, np.where(equal, 0.0, std)


def extremes(seeds: BySeed, values: Floats) -> tuple[Floats, Floats]:
    """The least and the greatest of `values` (one for each row of the table) at each point; NaN where it has none.

    Every row is looked at alone: of a seed with several draws of a control each draw counts.
    """
    point = seeds.cells // max(1, seeds.values.shape[1])
    least, greatest = (np.full(len(seeds.points), np.nan) for _ in range(2))
    np.fmin.at(least, point, values)
    np.fmax.at(greatest, point, values)
    return least, greatest


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy over seeds, one row for each (source, target, ticket, round), in the table's order.

    Columns: those that name the curve and the point, then `mean`, `std` (ddof = 1, NaN for one seed), `n` (seeds with
    a result), `n_diverged` (of them), `n_missing` (seeds without one), `low` and `high` (95 % t interval of the mean,
    NaN for fewer than two seeds), `least` and `greatest` (of all runs, each draw of a control by itself).
    """
    seeds = by_seed(table, table["test_accuracy"])
    n, mean, std = moments(seeds.values)
    shape = seeds.values.shape
    asked = np.bincount(seeds.cells, minlength=seeds.values.size).reshape(shape) > 0
    of_diverged = seeds.cells[(table["status"] == "diverged").to_numpy(dtype=bool)]
    diverged = np.bincount(of_diverged, minlength=seeds.values.size).reshape(shape) > 0
    half = half_width(std, n)
    least, greatest = extremes(seeds, table["test_accuracy"].to_numpy(dtype="float64"))
    return seeds.points.assign(
        mean=mean,
        std=std,
        n=n,
        n_diverged=(diverged & ~np.isnan(seeds.values)).sum(axis=1),
        n_missing=asked.sum(axis=1) - n,
        low=mean - half,
        high=mean + half,
        least=least,
        greatest=greatest,
    )


CURVES = Table("curves", lambda findings: curves(findings.results))
