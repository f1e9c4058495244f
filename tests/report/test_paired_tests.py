"""Tests of paired differences against scipy.stats, and corrections against hand calculations."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from scipy import stats

from pipeline.report.analysis.paired_tests import (
    Floats,
    Whole,
    equivalence,
    half_width,
    hedges_g,
    holm,
    noninferiority,
    t_statistic,
    two_sided,
)

DIFFERENCES = [
    np.array([0.012, 0.004, -0.003, 0.009]),
    np.array([-0.2, -0.25, -0.19]),
    np.array([0.001, -0.002, 0.0005, 0.001, -0.001, 0.0002]),
]
MARGIN = 0.01


def columns(rows: Any) -> tuple[Floats, Floats, Whole]:
    mean, std = np.array([row.mean() for row in rows]), np.array([row.std(ddof=1) for row in rows])
    return mean, std, np.array([len(row) for row in rows])


def test_t_p_and_interval_are_those_of_scipys_one_sample_test() -> None:
    mean, std, n = columns(DIFFERENCES)
    expected = [stats.ttest_1samp(row, 0) for row in DIFFERENCES]
    assert t_statistic(mean, std, n) == pytest.approx([test.statistic for test in expected])
    assert two_sided(t_statistic(mean, std, n), n) == pytest.approx([test.pvalue for test in expected])
    intervals = [test.confidence_interval(0.95) for test in expected]
    assert mean - half_width(std, n) == pytest.approx([low for low, _ in intervals])
    assert mean + half_width(std, n) == pytest.approx([high for _, high in intervals])


def test_equivalence_is_the_larger_of_scipys_two_one_sided_tests() -> None:
    mean, std, n = columns(DIFFERENCES)
    above = [stats.ttest_1samp(row, -MARGIN, alternative="greater").pvalue for row in DIFFERENCES]
    below = [stats.ttest_1samp(row, MARGIN, alternative="less").pvalue for row in DIFFERENCES]
    assert noninferiority(mean, std, n, MARGIN) == pytest.approx(above)
    assert equivalence(mean, std, n, MARGIN) == pytest.approx(np.maximum(above, below))


def test_a_difference_near_zero_is_equivalent_and_one_of_either_sign_is_not() -> None:
    rows = [DIFFERENCES[2], DIFFERENCES[2] + 0.02, DIFFERENCES[2] - 0.02]
    p = equivalence(*columns(rows), MARGIN)
    assert p[0] < 0.05 < min(p[1:])


def test_hedges_g_has_the_exact_small_sample_factor() -> None:
    """n = 5: J(4) = gamma(2) / (sqrt(2) gamma(1.5)) = 1 / (1.41421 * 0.88623) = 0.797885; n = 4 and 3 by recursion."""
    g = hedges_g(np.ones(3), np.full(3, 2.0), np.array([5, 4, 3]))
    by_hand = [0.797885, math.gamma(1.5) / (math.sqrt(1.5) * math.gamma(1)), math.gamma(1) / math.gamma(0.5)]
    assert g == pytest.approx([0.5 * factor for factor in by_hand], rel=1e-6)
    # the usual approximation 1 - 3 / (4 df - 1), within half a percent for 20 seeds
    assert hedges_g(np.ones(1), np.ones(1), np.array([20])) == pytest.approx([1 - 3 / 75], rel=5e-3)


def test_holm_steps_down_as_by_hand() -> None:
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04; never less than the one before."""
    corrected, tests = holm(np.array([0.01, 0.04, 0.03, 0.005]), np.zeros(4, dtype=int))
    assert corrected == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert list(tests) == [4, 4, 4, 4]


def test_holm_ties_are_equal_and_nothing_is_above_one() -> None:
    """0.01, 0.01 times 3, 2: the second is not below the first. 0.9 stays 0.9; 0.6 and 0.7 times 2, 1 are 1, 1."""
    corrected, _ = holm(np.array([0.01, 0.9, 0.01, 0.6, 0.7]), np.array([0, 0, 0, 1, 1]))
    assert corrected == pytest.approx([0.03, 0.9, 0.03, 1.0, 1.0])


def test_holm_counts_tests_only_and_families_apart() -> None:
    corrected, tests = holm(np.array([0.02, np.nan, 0.02, 0.02, np.nan]), np.array([1, 1, 0, 0, 2]))
    assert corrected == pytest.approx([0.02, np.nan, 0.04, 0.04, np.nan], nan_ok=True)
    assert list(tests) == [1, 1, 2, 2, 0]


def test_no_tests_are_no_corrections() -> None:
    corrected, tests = holm(np.array([]), np.array([], dtype=int))
    assert len(corrected) == len(tests) == 0


ps = some.lists(some.floats(0, 1), min_size=1, max_size=30)


@settings(deadline=None)
@given(ps, some.randoms(use_true_random=False))
def test_holm_is_between_the_p_and_bonferronis_in_the_same_order_whatever_the_order_of_rows(
    values: Any, random: Any
) -> None:
    p, one = np.array(values), np.zeros(len(values), dtype=int)
    corrected, _ = holm(p, one)
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(1, p * len(p)) + 1e-15).all()
    ordered = corrected[np.argsort(p, kind="stable")]
    assert (np.diff(ordered) >= 0).all()
    assert corrected[p.argmin()] == pytest.approx(min(1, p.min() * len(p)))
    order = random.sample(range(len(p)), len(p))
    np.testing.assert_array_equal(holm(p[order], one)[0], corrected[order])


@settings(deadline=None)
@given(ps, some.floats(0.001, 0.5))
def test_holm_rejects_exactly_what_stepping_down_rejects(values: Any, level: float) -> None:
    rejected = 0
    for number, p in enumerate(sorted(values)):
        if p * (len(values) - number) > level:
            break
        rejected += 1
    corrected, _ = holm(np.array(values), np.zeros(len(values), dtype=int))
    assume(not np.isclose(corrected, level, rtol=1e-9).any())
    assert (corrected <= level).sum() == rejected
