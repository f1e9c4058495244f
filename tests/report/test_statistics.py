"""The numbers of the report against scipy's and against hand calculations."""

import subprocess
import sys
from itertools import chain

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.report.statistics import curves, winning_vs_random

WINNING = [0.90, 0.92, 0.91, 0.95]
RANDOM = [0.80, 0.85, 0.79, 0.90]


def rows(ticket: str, accuracies, source: str = "a", target: str = "b", number: int = 1, survivors: int = 80, **more):
    fixed = {
        "experiment": "test",
        "model": "lenet-10",
        "source": source,
        "target": target,
        "source_optimizer": "sgd",
        "target_optimizer": "sgd",
        "ticket": ticket,
        "round": number,
        "fraction_pruned": 1 - survivors / 100,
        "survivors": survivors,
        "total": 100,
        "status": "ok",
    }
    return [fixed | {"seed": seed, "test_accuracy": value} | more for seed, value in enumerate(accuracies)]


def compared(*parts) -> pd.Series:
    comparison = winning_vs_random(pd.DataFrame(list(chain(*parts))))
    assert len(comparison) == 1
    return comparison.iloc[0]


def test_a_curve_has_mean_std_n_and_t_interval_of_its_seeds():
    curve = curves(pd.DataFrame(rows("winning", WINNING))).iloc[0]
    assert curve["mean"] == pytest.approx(0.92)
    assert curve["std"] == pytest.approx(np.std(WINNING, ddof=1))
    assert (curve["n"], curve["n_diverged"], curve["n_missing"]) == (4, 0, 0)
    assert (curve["low"], curve["high"]) == pytest.approx(stats.t.interval(0.95, 3, 0.92, stats.sem(WINNING)))


def test_diverged_runs_count_with_their_accuracy_and_missing_ones_do_not():
    table = pd.DataFrame(
        rows("winning", [0.9, 0.8])
        + [row | {"seed": 2} for row in rows("winning", [0.1], status="diverged")]
        + [row | {"seed": 3} for row in rows("winning", [np.nan], status="missing")]
    )
    curve = curves(table).iloc[0]
    assert curve["mean"] == pytest.approx(0.6)
    assert (curve["n"], curve["n_diverged"], curve["n_missing"]) == (3, 1, 1)


def test_one_seed_has_a_mean_and_no_spread():
    curve = curves(pd.DataFrame(rows("winning", [0.9]))).iloc[0]
    assert curve["mean"] == 0.9
    assert curve[["std", "low", "high"]].isna().all()


def test_values_of_one_seed_are_averaged_before_anything_else():
    """Three controls of one ticket are one observation, not three."""
    nested = rows("random", [0.6, 0.8]) + rows("random", [0.8, 0.8])
    curve = curves(pd.DataFrame(nested)).iloc[0]
    assert curve["n"] == 2
    assert curve["std"] == pytest.approx(np.std([0.7, 0.8], ddof=1))


def test_curves_keep_the_order_of_the_table():
    table = pd.DataFrame(rows("winning", [0.9], source="z") + rows("winning", [0.9], source="a"))
    assert list(curves(table)["source"]) == ["z", "a"]


def test_the_comparison_is_scipys_paired_t_test():
    result = compared(rows("winning", WINNING), rows("random", RANDOM))
    expected = stats.ttest_rel(WINNING, RANDOM)
    assert (result["t"], result["p"]) == pytest.approx((expected.statistic, expected.pvalue))
    assert (result["low"], result["high"]) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert result["difference"] == pytest.approx(0.085)
    assert (result["n"], result["remark"], result["reference"]) == (4, "", "random")


def test_seeds_are_paired_by_seed_and_not_by_order():
    shuffled = [rows("random", RANDOM)[place] for place in (2, 0, 3, 1)]
    straight = compared(rows("winning", WINNING), rows("random", RANDOM))
    pd.testing.assert_series_equal(compared(rows("winning", WINNING), shuffled), straight)


def test_only_seeds_that_both_have_are_compared():
    result = compared(rows("winning", WINNING), rows("random", [*RANDOM[:3], np.nan, 0.3]))
    assert result["n"] == 3
    assert result["p"] == pytest.approx(stats.ttest_rel(WINNING[:3], RANDOM[:3]).pvalue)


def test_random_tickets_of_any_source_are_paired_with_every_source():
    table = pd.DataFrame(
        rows("winning", WINNING, source="a")
        + rows("winning", WINNING, source="c")
        + rows("random", RANDOM, source="any")
    )
    comparison = winning_vs_random(table)
    assert list(comparison["source"]) == ["a", "c"]
    assert list(comparison["n"]) == [4, 4]


def test_random_tickets_of_another_source_target_or_size_are_not_compared():
    others = (
        rows("random", RANDOM, source="c") + rows("random", RANDOM, target="c") + rows("random", RANDOM, survivors=79)
    )
    assert winning_vs_random(pd.DataFrame(rows("winning", WINNING) + others)).empty


def test_each_kind_of_random_ticket_is_compared_on_its_own_and_dense_is_none():
    table = pd.DataFrame(
        rows("winning", WINNING) + rows("random", RANDOM) + rows("shuffled", RANDOM) + rows("dense", RANDOM)
    )
    assert sorted(winning_vs_random(table)["reference"]) == ["random", "shuffled"]


@pytest.mark.parametrize(
    ("winning", "random", "why"),
    [
        (WINNING[:2], RANDOM[:2], "n = 2: too few seeds"),
        ([0.9, 0.8, 0.7], [0.8, 0.7, 0.6], "same difference"),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], "same difference"),
    ],
)
def test_what_cannot_be_tested_says_why(winning, random, why):
    result = compared(rows("winning", winning), rows("random", random))
    assert why in result["remark"]
    assert result[["t", "p", "low", "high"]].isna().all()
    assert result["difference"] == pytest.approx(np.mean(winning) - np.mean(random))


def test_statistics_need_neither_scipy_stats_nor_torch():
    code = (
        "import sys, pandas as pd; from pipeline.report.statistics import winning_vs_random, curves\n"
        f"table = pd.DataFrame({rows('winning', WINNING) + rows('random', RANDOM)})\n"
        "curves(table); winning_vs_random(table)\n"
        "print(sorted({'scipy.stats', 'torch', 'ray', 'mlflow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
