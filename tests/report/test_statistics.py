"""The numbers of the curves against scipy's and against hand calculations."""

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats

from pipeline.report.analysis.levels import level_of
from pipeline.report.analysis.over_seeds import by_seed, curves, moments

ACCURACIES = [0.90, 0.92, 0.91, 0.95]


def rows(
    ticket: str,
    accuracies: Any,
    source: str = "a",
    target: str = "b",
    number: int = 1,
    survivors: int = 80,
    **more: Any,
) -> Any:
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


def test_a_curve_has_mean_std_n_and_t_interval_of_its_seeds() -> None:
    curve = curves(pd.DataFrame(rows("winning", ACCURACIES))).iloc[0]
    assert curve["mean"] == pytest.approx(0.92)
    assert curve["std"] == pytest.approx(np.std(ACCURACIES, ddof=1))
    assert (curve["n"], curve["n_diverged"], curve["n_missing"]) == (4, 0, 0)
    assert (curve["low"], curve["high"]) == pytest.approx(stats.t.interval(0.95, 3, 0.92, stats.sem(ACCURACIES)))


def test_diverged_runs_count_with_their_accuracy_and_missing_ones_do_not() -> None:
    table = pd.DataFrame(
        rows("winning", [0.9, 0.8])
        + [row | {"seed": 2} for row in rows("winning", [0.1], status="diverged")]
        + [row | {"seed": 3} for row in rows("winning", [np.nan], status="missing")]
    )
    curve = curves(table).iloc[0]
    assert curve["mean"] == pytest.approx(0.6)
    assert (curve["n"], curve["n_diverged"], curve["n_missing"]) == (3, 1, 1)


def test_one_seed_has_a_mean_and_no_spread() -> None:
    curve = curves(pd.DataFrame(rows("winning", [0.9]))).iloc[0]
    assert curve["mean"] == 0.9
    assert curve[["std", "low", "high"]].isna().all()


def test_the_least_and_the_greatest_are_of_single_runs_also_of_several_of_one_seed() -> None:
    table = pd.DataFrame(rows("winning", [0.7, 0.8]) + rows("winning", [0.4, np.nan]))
    curve = curves(table).iloc[0]
    assert (curve["mean"], curve["least"], curve["greatest"]) == (pytest.approx((0.55 + 0.8) / 2), 0.4, 0.8)
    assert curves(table.assign(test_accuracy=np.nan)).iloc[0][["least", "greatest"]].isna().all()


def test_equal_seeds_have_no_spread_at_all_and_not_one_by_rounding() -> None:
    curve = curves(pd.DataFrame(rows("winning", [0.1 + 0.2, 0.3, 0.3]))).iloc[0]
    assert curve["std"] == 0
    assert curve["low"] == curve["high"] == curve["mean"]


def test_values_of_one_seed_are_averaged_before_anything_else() -> None:
    """Three controls of one ticket are one observation, not three."""
    nested = rows("random", [0.6, 0.8]) + rows("random", [0.8, 0.8])
    curve = curves(pd.DataFrame(nested)).iloc[0]
    assert curve["n"] == 2
    assert curve["std"] == pytest.approx(np.std([0.7, 0.8], ddof=1))


def test_curves_keep_the_order_of_the_table() -> None:
    table = pd.DataFrame(rows("winning", [0.9], source="z") + rows("winning", [0.9], source="a"))
    assert list(curves(table)["source"]) == ["z", "a"]


def test_a_table_without_rows_has_no_curves() -> None:
    empty = pd.DataFrame(rows("winning", [0.9])).iloc[:0]
    assert curves(empty).empty
    assert {"mean", "std", "n", "low"} <= set(curves(empty).columns)


@settings(deadline=None)
@given(some.randoms(use_true_random=False), some.lists(some.floats(0, 1), min_size=3, max_size=8))
def test_numbers_do_not_depend_on_the_order_of_the_rows_bit_for_bit(random: Any, accuracies: Any) -> None:
    turned = [accuracies[place:] + accuracies[:place] for place in range(3)]
    nested = [row for values in turned for row in rows("winning", values)] + rows("random", accuracies, source="any")
    shuffled = random.sample(nested, len(nested))
    straight, other = (
        curves(pd.DataFrame(part)).sort_values("ticket", ignore_index=True) for part in (nested, shuffled)
    )
    pd.testing.assert_frame_equal(straight, other, check_exact=True)


def test_values_lie_by_point_and_by_ascending_seed() -> None:
    table = pd.DataFrame(rows("winning", [0.1, 0.2])[::-1] + [row | {"seed": 7} for row in rows("random", [0.3])])
    seeds = by_seed(table, table["test_accuracy"])
    assert list(seeds.points["ticket"]) == ["winning", "random"]
    np.testing.assert_array_equal(seeds.values, [[0.1, 0.2, np.nan], [np.nan, np.nan, 0.3]])


def test_moments_leave_out_what_is_not_there() -> None:
    n, mean, std = moments(np.array([[0.5, np.nan, 0.7], [np.nan, np.nan, np.nan], [0.4, np.nan, np.nan]]))
    assert list(n) == [2, 0, 1]
    assert mean == pytest.approx([0.6, np.nan, 0.4], nan_ok=True)
    assert std == pytest.approx([np.std([0.5, 0.7], ddof=1), np.nan, np.nan], nan_ok=True)


def test_a_level_is_the_weights_left_in_three_significant_digits() -> None:
    table = pd.DataFrame({"fraction_pruned": [0.0, 0.8, 1 - 0.8**30, 1 - 0.016796, 1 - 0.0168004]})
    assert list(level_of(table)) == [1.0, 0.2, 0.00124, 0.0168, 0.0168]
    assert level_of(table.iloc[:0]).empty


def left(*remaining: Any) -> pd.DataFrame:
    return pd.DataFrame({"fraction_pruned": [1 - fraction for fraction in remaining]})


def test_chains_that_differ_by_a_weight_are_at_one_level_whichever_digits_they_have() -> None:
    """Global and layerwise rounding leave 2,016 and 2,015 of 23,472 weights: 8.59 % and 8.58 %."""
    assert list(level_of(left(2015 / 23472, 1.0, 2016 / 23472))) == [0.0859, 1.0, 0.0859]


def test_a_level_ends_half_a_percent_below_its_largest_and_does_not_grow_link_by_link() -> None:
    assert list(level_of(left(0.5, 0.498, 0.4976, 0.4974, 0.496))) == [0.5, 0.5, 0.5, 0.497, 0.497]
    assert list(level_of(left(0.0, 0.0005))) == [0.0, 0.0005]


def test_two_levels_never_have_the_same_name() -> None:
    """Half a percent apart, and 0.100 both in three digits."""
    assert list(level_of(left(0.10049, 0.09996, 0.3))) == [0.1005, 0.09996, 0.3]


@settings(deadline=None)
@given(some.randoms(use_true_random=False), some.lists(some.integers(0, 3000), min_size=1, max_size=40))
def test_levels_are_apart_whatever_the_order_of_rows_and_rows_of_one_are_near(
    random: Any, survivors: list[int]
) -> None:
    table = left(*(count / 3000 for count in survivors))
    table["level"] = level_of(table)
    shuffled = table.loc[random.sample(list(table.index), len(table))]
    pd.testing.assert_series_equal(level_of(shuffled), shuffled["level"], check_names=False)
    remaining = (1 - table["fraction_pruned"]).groupby(table["level"]).agg(["min", "max"]).sort_index()
    assert (remaining["min"] >= 0.995 * remaining["max"]).all()
    assert (remaining["max"].to_numpy()[:-1] < 0.995 * remaining["max"].to_numpy()[1:]).all()
    assert remaining.index.to_numpy() == pytest.approx(remaining["max"].to_numpy(), rel=0.006)


def test_statistics_need_neither_scipy_stats_nor_torch() -> None:
    code = (
        "import sys, pandas as pd; from pipeline.report.analysis.over_seeds import curves\n"
        "import pipeline.report.analysis.comparisons, pipeline.report.sections.overlap\n"
        "import pipeline.report.sections.layers\n"
        "import pipeline.report.analysis.convergence, pipeline.report.sections.glance\n"
        f"curves(pd.DataFrame({rows('winning', ACCURACIES)}))\n"
        "print(sorted({'scipy.stats', 'torch', 'ray', 'mlflow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
