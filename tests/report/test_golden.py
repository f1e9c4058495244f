"""A results table written by hand, and every statistic of it checked against scipy.stats or a hand calculation."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.experiment.loading import load
from pipeline.experiment.spec import Spec
from pipeline.report.analysis.comparisons import COLUMNS, FAMILY, comparisons
from pipeline.report.analysis.over_seeds import curves

Measured = dict[tuple[str, str, str, int], dict[int, float]]
"""Test accuracy by source, target, ticket and round, then by seed."""
MARGIN = 0.02
GRID = f"""
name: golden
model: {{name: lenet, hidden: [30, 10]}}
seeds: [0, 1, 2, 3]
prune: {{fractions: [0.5, 0.75]}}
training: {{optimizer: {{name: sgd, lr: 0.1}}, batch_size: 64, length: 1ep}}
sources:
  - {{name: one, dataset: {{name: digits, half: a}}}}
  - {{name: two, dataset: {{name: digits, half: b}}}}
  - {{name: late, dataset: {{name: digits, classes: [0, 1]}}}}
targets:
  - {{name: first, dataset: {{name: digits, half: a}}}}
  - {{name: second, dataset: {{name: digits, half: b}}}}
tickets:
  - {{name: lucky}}
  - {{name: random, mask: permuted-globally}}
  - {{name: shuffled, mask: permuted-within-layers, weights: shuffled}}
analysis: {{margin: {MARGIN}}}
"""
# source, target, ticket, round: test accuracy of seeds 0 to 3; "-" is missing, "~" before a number a diverged run
WRITTEN = """
one  first  lucky    1  0.90 0.92 0.91 0.95
two  first  lucky    1  0.89 0.93 0.90 0.94
late first  lucky    1  -    -    -    -
any  first  random   1  0.80 0.85 0.79 0.90
one  first  shuffled 1  0.89 0.92 0.90 0.95
two  first  shuffled 1  0.91 0.91 0.91 0.93
late first  shuffled 1  -    -    -    -
one  first  lucky    2  0.88 0.89 0.87 0.90
two  first  lucky    2  0.80 0.70 -    ~0.10
late first  lucky    2  -    -    -    -
any  first  random   2  0.78 0.79 0.77 0.80
one  first  shuffled 2  0.86 0.88 -    -
two  first  shuffled 2  -    0.70 0.71 0.69
late first  shuffled 2  -    -    -    -
any  first  dense    0  0.91 0.92 0.93 0.94
one  second lucky    1  0.70 0.75 0.74 -
two  second lucky    1  0.90 0.92 0.91 0.95
late second lucky    1  -    -    -    -
any  second random   1  0.80 0.85 0.79 0.90
one  second shuffled 1  0.70 0.75 0.74 0.71
two  second shuffled 1  -    -    -    -
late second shuffled 1  -    -    -    -
one  second lucky    2  0.60 -    -    0.62
two  second lucky    2  -    0.85 0.86 -
late second lucky    2  -    -    -    -
any  second random   2  0.50 0.55 0.52 0.51
one  second shuffled 2  0.55 0.54 0.53 0.52
two  second shuffled 2  0.80 0.81 0.82 0.83
late second shuffled 2  -    -    -    -
any  second dense    0  0.90 0.91 0.92 0.93
"""
SURVIVORS = {0: 1000, 1: 500, 2: 250}
OWN = {"first": "one", "second": "two"}


def parsed() -> Iterator[Any]:
    for line in WRITTEN.strip().splitlines():
        source, target, ticket, number, *values = line.split()
        yield (source, target, ticket, int(number)), values


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    file = tmp_path_factory.mktemp("golden") / "grid.yaml"
    file.write_text(GRID)
    return load(file)


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    rows = []
    for (source, target, ticket, number), values in parsed():
        for seed, value in enumerate(values):
            missing, diverged = value == "-", value.startswith("~")
            rows.append(
                {
                    "experiment": "golden",
                    "model": "lenet-30-10",
                    "source": source,
                    "target": target,
                    "source_optimizer": "any" if source == "any" else "sgd",
                    "target_optimizer": "sgd",
                    "ticket": ticket,
                    "round": number,
                    "seed": seed,
                    "fraction_pruned": 1 - SURVIVORS[number] / 1000,
                    "survivors": SURVIVORS[number],
                    "total": 1000,
                    "test_accuracy": math.nan if missing else float(value.lstrip("~")),
                    "status": "missing" if missing else "diverged" if diverged else "ok",
                }
            )
    # not in the order of seeds or curves: nothing may depend on it
    return pd.DataFrame(rows).sample(frac=1, random_state=1)


@pytest.fixture(scope="module")
def measured() -> Measured:
    """Point -> seed -> accuracy, of what is there."""
    return {
        point: {seed: float(value.lstrip("~")) for seed, value in enumerate(values) if value != "-"}
        for point, values in parsed()
    }


@pytest.fixture(scope="module")
def table(results: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    return comparisons(results, spec)


@pytest.fixture(scope="module")
def cell(table: pd.DataFrame) -> Callable[..., Any]:
    """One row of the comparisons."""

    def find(comparison: str, source: str, target: str, reference: str, number: int) -> pd.Series:
        found = table[
            (table["comparison"] == comparison)
            & (table["source"] == source)
            & (table["target"] == target)
            & (table["reference"] == reference)
            & (table["round"] == number)
        ]
        assert len(found) == 1
        return found.iloc[0]

    return find


def test_every_column_of_the_curves_is_scipys(results: pd.DataFrame, measured: Measured) -> None:
    found = curves(results).set_index(["source", "target", "ticket", "round"])
    assert len(found) == len(measured) == 30
    point: Any
    for point, by_seed in measured.items():
        row, values = found.loc[point], list(by_seed.values())
        assert (row["n"], row["n_missing"]) == (len(values), 4 - len(values))
        assert row["n_diverged"] == (point == ("two", "first", "lucky", 2))
        if not values:
            assert row[["mean", "std", "low", "high"]].isna().all()
            continue
        assert row["mean"] == pytest.approx(stats.tmean(values))
        if len(values) == 1:
            assert row[["std", "low", "high"]].isna().all()
            continue
        assert row["std"] == pytest.approx(stats.tstd(values))
        interval = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert (row["low"], row["high"]) == pytest.approx(interval)


def test_every_comparison_that_the_grid_asks_for_has_one_row(table: pd.DataFrame) -> None:
    expected = set()
    for source in ("one", "two", "late"):
        for target in ("first", "second"):
            for number in (1, 2):
                place = (source, target, number)
                expected |= {("control", *place, "random", "any"), ("control", *place, "shuffled", source)}
                expected.add(("dense", *place, "dense", "any"))
                if source != OWN[target]:
                    expected.add(("transfer", *place, "lucky", OWN[target]))
    names = ["comparison", "source", "target", "round", "reference", "reference_source"]
    rows = list(table[names].itertuples(index=False, name=None))
    assert len(rows) == len(expected) == 44
    assert set(rows) == expected
    assert list(table.columns) == COLUMNS
    assert set(table["ticket"]) == {"lucky"}
    assert (table["margin"] == MARGIN).all()


def test_rows_are_unique_by_cell_and_level_and_holm_counts_the_cells_that_can_be_tested(table: pd.DataFrame) -> None:
    assert not table.duplicated(["comparison", "source", "target", "ticket", "reference", "left"]).any()
    testable = (table["remark"] == "").groupby([table[name] for name in FAMILY]).transform("sum")
    assert (table["tests"] == testable).all()


def test_levels_survivors_and_names_come_from_the_ticket(table: pd.DataFrame) -> None:
    by_round = table.groupby("round")[["left", "fraction_pruned", "survivors"]].agg(["min", "max"])
    assert list(by_round.loc[1]) == [0.5, 0.5, 0.5, 0.5, 500, 500]
    assert list(by_round.loc[2]) == [0.25, 0.25, 0.75, 0.75, 250, 250]
    assert set(table["experiment"]) == {"golden"}
    assert set(table["model"]) == {"lenet-30-10"}
    assert set(table["source_optimizer"]) == set(table["target_optimizer"]) == {"sgd"}


def differences(row: pd.Series, measured: Measured) -> list[float]:
    number = 0 if row["reference"] == "dense" else row["round"]
    ticket = measured[row["source"], row["target"], "lucky", row["round"]]
    reference = measured[row["reference_source"], row["target"], row["reference"], number]
    return [ticket[seed] - reference[seed] for seed in ticket if seed in reference]


STATISTICS = ["low", "high", "t", "p", "p_holm", "effect", "p_equivalence", "p_noninferior"]


def test_every_test_is_scipys(table: pd.DataFrame, measured: Measured) -> None:
    tested = 0
    for _, row in table.iterrows():
        gaps = differences(row, measured)
        assert row["n"] == len(gaps)
        assert row["difference"] == pytest.approx(np.mean(gaps) if gaps else math.nan, nan_ok=True)
        assert row["std"] == pytest.approx(np.std(gaps, ddof=1) if len(gaps) > 1 else math.nan, nan_ok=True, abs=1e-12)
        if len(gaps) < 3 or np.ptp(gaps) < 1e-9:
            assert len(gaps) < 3 or row["std"] == 0
            assert row[STATISTICS].isna().all()
            assert row["equivalent"] is pd.NA
            assert row["remark"] != ""
            continue
        tested += 1
        both = stats.ttest_rel(gaps, np.zeros(len(gaps)))
        assert (row["t"], row["p"]) == pytest.approx((both.statistic, both.pvalue))
        assert (row["low"], row["high"]) == pytest.approx(tuple(both.confidence_interval(0.95)))
        above = stats.ttest_1samp(gaps, -MARGIN, alternative="greater").pvalue
        below = stats.ttest_1samp(gaps, MARGIN, alternative="less").pvalue
        assert row["p_noninferior"] == pytest.approx(above)
        assert row["p_equivalence"] == pytest.approx(max(above, below))
        assert row["equivalent"] == (max(above, below) < 0.05)
        half = (len(gaps) - 1) / 2
        factor = math.gamma(half) / (math.sqrt(half) * math.gamma(half - 0.5))
        assert row["effect"] == pytest.approx(np.mean(gaps) / stats.tstd(gaps) * factor)
        assert row["remark"] == ""
    # round 1: random 4, shuffled 2, transfer 2, dense 4; round 2: random 1, shuffled 0, transfer 1, dense 2
    assert tested == 16


def test_holm_is_stepped_down_over_each_family_as_by_hand(table: pd.DataFrame) -> None:
    """Each family sorted, the smallest p times its size, the next times one less, never less than the one before."""
    sizes = {}
    for name, family in table.groupby(["comparison", "reference", "left"]):
        tested = family.dropna(subset="p").sort_values("p")
        sizes[name] = len(tested)
        assert (family["tests"] == len(tested)).all()
        least = 0.0
        for place, (_, row) in enumerate(tested.iterrows()):
            least = min(1.0, max(least, row["p"] * (len(tested) - place)))
            assert row["p_holm"] == pytest.approx(least)
    assert sizes == {
        ("control", "random", 0.5): 4,
        ("control", "random", 0.25): 1,
        ("control", "shuffled", 0.5): 2,
        ("control", "shuffled", 0.25): 0,
        ("transfer", "lucky", 0.5): 2,
        ("transfer", "lucky", 0.25): 1,
        ("dense", "dense", 0.5): 4,
        ("dense", "dense", 0.25): 2,
    }


def test_a_paired_difference_by_hand(cell: Any) -> None:
    """0.10, 0.07, 0.12, 0.05: mean 0.085; deviations 0.015, -0.015, 0.035, -0.035, squares sum to 0.0029, over 3 is
    0.000966667, so std 0.0310913; t = 0.085 / (0.0310913 / 2) = 5.46776. t(3) at 0.975 is 3.182446: +-0.0494729.
    J(3) = gamma(1.5) / (sqrt(1.5) gamma(1)) = 0.886227 / 1.224745 = 0.723601, times 2.73388 is 1.978240."""
    row = cell("control", "one", "first", "random", 1)
    assert (row["n"], row["difference"], row["std"]) == pytest.approx((4, 0.085, 0.0310913), rel=1e-5)
    assert row["t"] == pytest.approx(5.46776, rel=1e-5)
    assert (row["low"], row["high"]) == pytest.approx((0.0355271, 0.1344729), rel=1e-5)
    assert row["effect"] == pytest.approx(1.97824, rel=1e-5)


def test_ties_have_the_same_p_before_and_after_correction(cell: Any) -> None:
    """Both targets' own tickets have the same accuracies beside the same random ones."""
    here, there = cell("control", "one", "first", "random", 1), cell("control", "two", "second", "random", 1)
    assert here["p"] == there["p"]
    assert here["p_holm"] == there["p_holm"]


def test_seeds_without_difference_count_among_others(cell: Any) -> None:
    """0.01, 0, 0.01, 0: mean 0.005, std sqrt(4 * 0.005^2 / 3) = 0.0057735, t = 0.005 / 0.00288675 = 1.7320508."""
    row = cell("control", "one", "first", "shuffled", 1)
    assert (row["difference"], row["std"], row["t"]) == pytest.approx((0.005, 0.0057735027, 1.7320508))


def test_differences_that_cancel_have_t_zero_and_p_one(cell: Any) -> None:
    """-0.02, 0.02, -0.01, 0.01 beside shuffled ones."""
    row = cell("control", "two", "first", "shuffled", 1)
    assert (row["difference"], row["t"], row["p"], row["p_holm"]) == pytest.approx((0, 0, 1, 1), abs=1e-9)


def test_a_transferred_ticket_beside_the_targets_own_by_hand(cell: Any) -> None:
    """-0.01, 0.01, -0.01, -0.01: mean -0.005, squares of deviations sum to 0.0003, std 0.01, t -0.005 / 0.005.
    Within +-0.02: t = 0.015 / 0.005 = 3 and 0.025 / 0.005 = 5; one-sided p of t(3) at 3 is 0.0288344."""
    row = cell("transfer", "two", "first", "lucky", 1)
    assert (row["difference"], row["std"], row["t"]) == pytest.approx((-0.005, 0.01, -1))
    assert (row["p_noninferior"], row["p_equivalence"]) == pytest.approx((0.0288344, 0.0288344), rel=1e-5)
    assert row["equivalent"]


def test_a_diverged_run_counts_with_its_accuracy(cell: Any) -> None:
    """0.80 - 0.78, 0.70 - 0.79 and 0.10 - 0.80: mean -0.77 / 3."""
    row = cell("control", "two", "first", "random", 2)
    assert (row["n"], row["difference"]) == (3, pytest.approx(-0.77 / 3))


@pytest.mark.parametrize(
    ("comparison", "source", "target", "reference", "number", "n", "remark"),
    [
        ("control", "one", "first", "random", 2, 4, "every seed has the same difference: no variance to test against"),
        ("control", "one", "first", "shuffled", 2, 2, "n = 2: too few seeds for a test"),
        ("control", "late", "first", "random", 1, 0, "no result of the ticket yet"),
        ("transfer", "late", "second", "lucky", 2, 0, "no result of the ticket yet"),
        ("control", "two", "second", "shuffled", 1, 0, "no result of the reference yet"),
        ("transfer", "one", "second", "lucky", 2, 0, "no seed has a result of both"),
        ("control", "two", "first", "shuffled", 2, 2, "n = 2: too few seeds for a test"),
        (
            "control",
            "one",
            "second",
            "shuffled",
            1,
            3,
            "every seed has the same difference: no variance to test against",
        ),
    ],
)
def test_what_cannot_be_tested_says_why(
    cell: Any, comparison: str, source: str, target: str, reference: Any, number: int, n: int, remark: Any
) -> None:
    row = cell(comparison, source, target, reference, number)
    assert (row["n"], row["remark"]) == (n, remark)


def test_nothing_depends_on_the_order_of_the_rows(results: pd.DataFrame, spec: Spec, table: pd.DataFrame) -> None:
    other = comparisons(results.sample(frac=1, random_state=2), spec)
    names = ["comparison", "source", "target", "ticket", "reference", "round"]
    sort = [frame.sort_values(names, ignore_index=True) for frame in (table, other)]
    pd.testing.assert_frame_equal(sort[0], sort[1], check_exact=True)
