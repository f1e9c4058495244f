"""Means over seeds, their intervals, and the paired comparison of winning with random tickets.

The unit is the seed: several values of one seed are averaged first. scipy.special rather than scipy.stats: the same
t distribution, whole columns at a time, and without the 0.8 s that importing scipy.stats costs a cached rerun.
"""

from typing import cast

import numpy as np
import pandas as pd

from pipeline.experiment.spec import ANY, DENSE

CURVE = ["experiment", "model", "source", "target", "source_optimizer", "target_optimizer", "ticket"]
POINT = ["round", "fraction_pruned", "survivors", "total"]
CONFIDENCE = 0.95
FEWEST = 3
"""Seeds that a test needs: with two, the interval spans 25 standard deviations."""
ROUNDING = 1e-12
"""Accuracies are quotients of counts: differences this small are rounding."""


COMPARISON = ["experiment", "model", "source", "target", "ticket", "reference", "round", "fraction_pruned"]
RESULT = ["n", "difference", "std", "low", "high", "t", "p", "remark"]


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """Test accuracy over seeds, one row for each (source, target, ticket, round), in the table's order.

    Columns: those that name the curve and the point, then `mean`, `std` (ddof = 1, NaN for one seed), `n` (seeds with
    a result), `n_diverged` (of them), `n_missing` (seeds without one), `low` and `high` (95 % t interval of the mean,
    NaN for fewer than two seeds).
    """
    rows = table.assign(diverged=table["status"] == "diverged")
    by_seed = rows.groupby([*CURVE, *POINT, "seed"], dropna=False, as_index=False, sort=False).agg(
        accuracy=("test_accuracy", "mean"), diverged=("diverged", "max")
    )
    result = by_seed.groupby([*CURVE, *POINT], dropna=False, as_index=False, sort=False).agg(
        mean=("accuracy", "mean"),
        std=("accuracy", "std"),
        n=("accuracy", "count"),
        n_diverged=("diverged", "sum"),
        n_missing=("accuracy", "size"),
    )
    half = _half_width(result["std"], result["n"])
    return result.assign(
        n_missing=result["n_missing"] - result["n"], low=result["mean"] - half, high=result["mean"] + half
    )


def winning_vs_random(table: pd.DataFrame, winning: str = "winning") -> pd.DataFrame:
    """Winning minus every other ticket, paired by seed, one row for each (source, target, reference, round).

    Only tickets with equally many survivors are compared; a random ticket of source "any" is paired with every
    source. Columns: `source`, `target`, `ticket`, `reference` (the other ticket), `round`, `fraction_pruned`, `n`
    (pairs), `difference` (mean), `std`, `low` and `high` (95 % t interval), `t`, `p` (two-sided, as
    scipy.stats.ttest_rel; not corrected for the number of comparisons), and `remark`: why there is no test, where
    there is none.
    """
    pairs = _pairs(table, winning)
    if pairs.empty:
        return pd.DataFrame(columns=[*COMPARISON, *RESULT])
    by_seed = pairs.groupby([*COMPARISON, "seed"], as_index=False, sort=False)["difference"].mean()
    grouped = by_seed.groupby(COMPARISON, sort=False)["difference"]
    result = grouped.agg(n="count", difference="mean", std="std", least="min", most="max").reset_index()
    few = result["n"] < FEWEST
    constant = (result["most"] - result["least"]).abs() < ROUNDING
    testable = ~(few | constant)
    std = result["std"].where(testable)
    t = result["difference"] / (std / np.sqrt(result["n"]))
    half = _half_width(std, result["n"])
    few_words = "n = " + result["n"].astype(str) + ": too few seeds for a test"
    words = few_words.where(few, "every seed has the same difference: no variance to test against")
    tested: pd.DataFrame = result.assign(
        low=result["difference"] - half,
        high=result["difference"] + half,
        t=t,
        p=_two_sided(t, result["n"]),
        remark=words.where(~testable, ""),
    )
    return tested.reindex(columns=[*COMPARISON, *RESULT])


def _pairs(table: pd.DataFrame, winning: str) -> pd.DataFrame:
    """Rows of winning tickets beside the rows they are compared with; `difference` in accuracy, [-1, 1]."""
    measured = table[table["test_accuracy"].notna() & (table["ticket"] != DENSE)]
    shared = ["experiment", "model", "target", "round", "survivors", "seed"]
    left = measured.loc[
        measured["ticket"] == winning, [*shared, "source", "ticket", "fraction_pruned", "test_accuracy"]
    ]
    right = measured.loc[measured["ticket"] != winning, [*shared, "source", "ticket", "test_accuracy"]]
    right = right.rename(
        columns={"ticket": "reference", "source": "reference_source", "test_accuracy": "reference_accuracy"}
    )
    pairs = left.merge(right, on=shared)
    same = (pairs["reference_source"] == ANY) | (pairs["reference_source"] == pairs["source"])
    kept: pd.DataFrame = pairs[same]
    return kept.assign(difference=kept["test_accuracy"] - kept["reference_accuracy"])


def _half_width(std: "pd.Series[float]", n: "pd.Series[int]") -> "pd.Series[float]":
    from scipy.special import stdtrit

    degrees = (n - 1).where(n > 1).astype("float64")
    quantile = stdtrit(degrees.to_numpy(), np.full(len(n), 0.5 + CONFIDENCE / 2))
    return cast("pd.Series[float]", std * quantile / np.sqrt(n))


def _two_sided(t: "pd.Series[float]", n: "pd.Series[int]") -> "pd.Series[float]":
    from scipy.special import stdtr

    return pd.Series(2 * stdtr((n - 1).to_numpy(dtype="float64"), -t.abs().to_numpy()), index=t.index)
