"""Two experiments side by side: paired by seed, wherever both have a ticket of one level."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.report.analysis.two_experiments import COLUMNS, SAME, compare

A = [0.90, 0.92, 0.91, 0.95]
B = [0.93, 0.92, 0.96, 0.97]


def rows(
    experiment: str, accuracies: Any, ticket: str = "winning", number: int = 1, survivors: int = 512, stage: Any = None
) -> Any:
    fixed = {
        "experiment": experiment,
        "model": "lenet-10",
        "source": "a",
        "target": "b",
        "source_optimizer": "sgd",
        "target_optimizer": "sgd",
        "ticket": ticket,
        "round": number,
        "fraction_pruned": 1 - survivors / 1000,
        "survivors": survivors,
        "total": 1000,
        "status": "ok",
    }
    return [
        fixed | {"seed": seed, "test_accuracy": value, "stage": stage or f"{experiment}-{ticket}-{number}-{seed}"}
        for seed, value in enumerate(accuracies)
    ]


def compared(a: Any, b: Any) -> pd.DataFrame:
    return compare(pd.DataFrame(a), pd.DataFrame(b))


def test_the_difference_is_b_minus_a_and_its_test_scipys() -> None:
    row = compared(rows("one", A), rows("two", B)).iloc[0]
    differences = np.subtract(B, A)
    expected = stats.ttest_rel(B, A)
    assert row["difference"] == pytest.approx(differences.mean())
    assert (row["t"], row["p"]) == pytest.approx((expected.statistic, expected.pvalue))
    interval = stats.t.interval(0.95, 3, differences.mean(), stats.sem(differences))
    assert (row["low"], row["high"]) == pytest.approx(interval)
    assert (row["mean_a"], row["std_b"]) == pytest.approx((np.mean(A), np.std(B, ddof=1)))
    assert (row["n"], row["n_a"], row["n_b"], row["same"], row["remark"]) == (4, 4, 4, 0, "")


def test_only_shared_seeds_are_paired() -> None:
    row = compared(rows("one", A), rows("two", [*B, 0.99])).iloc[0]
    assert (row["n_a"], row["n_b"], row["n"]) == (4, 5, 4)
    assert row["mean_b"] == pytest.approx(np.mean([*B, 0.99]))
    assert row["difference"] == pytest.approx(np.mean(np.subtract(B, A)))


def test_experiments_that_share_their_runs_are_not_tested_against_each_other() -> None:
    row = compared(rows("one", A, stage="s"), rows("two", A, stage="s")).iloc[0]
    assert (row["same"], row["remark"], row["difference"]) == (4, SAME, 0)
    assert np.isnan(row["p"])


def test_rounds_of_another_number_meet_at_the_same_level() -> None:
    row = compared(rows("one", A, number=3), rows("two", B, number=1)).iloc[0]
    assert (row["round_a"], row["round_b"], row["left"]) == (3, 1, 0.512)
    assert compared(rows("one", A), rows("two", B, survivors=640)).empty


def test_few_seeds_and_no_variance_are_said_in_words() -> None:
    few = compared(rows("one", A[:2]), rows("two", B[:2])).iloc[0]
    assert "too few" in few["remark"] and np.isnan(few["p"])
    constant = compared(rows("one", A), rows("two", np.add(A, 0.01))).iloc[0]
    assert "no variance" in constant["remark"] and np.isnan(constant["p"])


def test_holm_counts_the_tests_of_one_ticket_and_level() -> None:
    both = [
        rows(name, values, survivors=survivors) for name, values in (("one", A), ("two", B)) for survivors in (512, 64)
    ]
    table = compared([*both[0], *both[1], *rows("one", A, "random")], [*both[2], *both[3], *rows("two", B, "random")])
    assert list(table["tests"]) == [1, 1, 1]
    np.testing.assert_allclose(table["p_holm"], table["p"])


def test_nothing_in_common_is_an_empty_table() -> None:
    table = compared(rows("one", A, "winning"), rows("two", B, "random"))
    assert table.empty and list(table.columns) == COLUMNS
