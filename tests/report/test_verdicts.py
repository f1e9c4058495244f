"""The four questions, answered in words that the tests bear out."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.experiment.loading import load
from pipeline.experiment.spec import Spec
from pipeline.report.analysis.comparisons import chosen_level, comparisons
from pipeline.report.analysis.over_seeds import curves
from pipeline.report.sections.glance import answers, differences, tally

GRID = """
name: test
model: {name: lenet, hidden: [30, 10]}
seeds: 6
prune: {rate: 0.5, rounds: 20}
training: {optimizer: {name: sgd, lr: 0.1}, batch_size: 64, length: 1ep}
sources:
  - {name: a, dataset: {name: digits, half: a}}
  - {name: b, dataset: {name: digits, half: b}}
targets: same
"""
SEEDS = 6
NOISE = np.random.default_rng(0).standard_normal((5, SEEDS)) * 0.002
"""Of a's tickets, b's tickets, random ones and dense networks, by seed; the same at every level."""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    file = tmp_path_factory.mktemp("verdicts") / "grid.yaml"
    file.write_text(GRID)
    return load(file)


def results(levels: dict[tuple[str, str], dict[int, float]], dense: float = 0.95, **more: Any) -> pd.DataFrame:
    """(source, target) -> round -> mean accuracy; random tickets are source "any"."""
    rows = []
    for (source, target), by_round in levels.items():
        for number, level in by_round.items():
            noise = NOISE[{"a": 0, "b": 1}.get(source, 2)]
            ticket = "random" if source == "any" else "winning"
            rows += [(source, target, ticket, number, seed, level + noise[seed]) for seed in range(SEEDS)]
    for target in dict.fromkeys(target for _, target in levels):
        rows += [("any", target, "dense", 0, seed, dense + NOISE[3][seed]) for seed in range(SEEDS)]
    table = pd.DataFrame(rows, columns=["source", "target", "ticket", "round", "seed", "test_accuracy"])
    survivors = (1000 * 0.5 ** table["round"]).round().astype("int64")
    names = {"experiment": "test", "model": "lenet", "source_optimizer": "sgd", "target_optimizer": "sgd"}
    numbers: dict[str, Any] = {
        "survivors": survivors,
        "total": 1000,
        "fraction_pruned": 1 - survivors / 1000,
        "status": "ok",
    }
    return table.assign(**names, **numbers).assign(**more)


GOOD = {
    ("a", "a"): {1: 0.95, 2: 0.94, 3: 0.90},
    ("b", "a"): {1: 0.95, 2: 0.90, 3: 0.80},
    ("any", "a"): {1: 0.90, 2: 0.80, 3: 0.60},
}


BOTH_WAYS = {
    ("a", "a"): {1: 0.9},
    ("b", "a"): {1: 0.8},
    ("any", "a"): {1: 0.7},
    ("b", "b"): {1: 0.9},
    ("a", "b"): {1: 0.85},
    ("any", "b"): {1: 0.7},
}


def told(table: pd.DataFrame, spec: Spec, level: float | None = None) -> list[str]:
    compared = comparisons(table, spec)
    return answers(compared, chosen_level(compared, None) if level is None else level, curves(table))


def answer(table: pd.DataFrame, spec: Spec, question: str, level: float | None = None) -> str:
    (found,) = [line for line in told(table, spec, level) if line.startswith(question)]
    return found


def test_the_four_questions_are_answered_in_their_order(spec: Spec) -> None:
    starts = ["Does the winning ticket transfer?", "From where", "How far", "Is the difference real?"]
    lines = told(results(BOTH_WAYS), spec)
    assert len(lines) == 4
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))


def test_transferred_tickets_are_counted_against_controls_and_against_the_targets_own(spec: Spec) -> None:
    line = answer(results(GOOD), spec, "Does")
    assert "With 12.5 % of the weights left, transferred tickets are above random ones in the one transfer" in line
    # the family holds the source's own ticket as well
    assert "p < 0.05, Holm-corrected over 2 tests" in line
    assert "They are below tickets of the target itself in the one transfer (paired t-tests" in line
    assert line.endswith("Holm-corrected over 1 test).")


def test_equivalence_is_said_where_it_is_shown(spec: Spec) -> None:
    line = answer(results(GOOD), spec, "Does", level=0.5)
    assert "Equivalence to these within ±1 point (two one-sided tests, p < 0.05 each, not corrected) is shown" in line
    assert line.endswith("in the one transfer.") and "either" not in line


def test_no_difference_shown_is_not_equivalence(spec: Spec, tmp_path: Path) -> None:
    """The same tickets, noise, and a margin too narrow for six seeds."""
    narrow = load_with_margin(tmp_path, 0.0001)
    line = answer(results(GOOD), narrow, "Does", level=0.5)
    assert "Neither a difference nor equivalence within ±0.01 points (two one-sided tests" in line
    assert line.endswith("not corrected) is shown in the one transfer.") and "Equiv" not in line
    assert "that does not show equality" in answer(results(GOOD), narrow, "Is", level=0.5)


def load_with_margin(folder: Path, margin: float) -> Spec:
    (folder / "grid.yaml").write_text(GRID)
    return load(folder / "grid.yaml", [f"analysis.margin={margin}"])


def test_sources_are_ranked_by_their_means_over_other_targets(spec: Spec) -> None:
    line = answer(results(BOTH_WAYS), spec, "From where")
    shift = 100 * (NOISE.mean(axis=1) - NOISE[2].mean())
    first, second = f"a {15 + shift[0]:+.2f}", f"b {10 + shift[1]:+.2f}"
    assert f"beside random ones: {first}, {second};" in line
    assert "beside tickets of the target itself: a -" in line
    assert "Sources are not tested against one another." in line


def test_a_single_source_is_not_ranked(spec: Spec) -> None:
    assert not any(line.startswith("From where") for line in told(results(GOOD), spec))
    fewer = {pair: levels for pair, levels in BOTH_WAYS.items() if pair != ("a", "b")}
    assert not any(line.startswith("From where") for line in told(results(fewer), spec))


def test_sources_that_are_not_evaluated_at_the_level_are_named(spec: Spec) -> None:
    deeper = BOTH_WAYS | {("a", target): {1: 0.9, 4: 0.8} for target in "ab"}
    deeper |= {("any", target): {1: 0.7, 4: 0.5} for target in "ab"}
    assert told(results(deeper), spec, level=0.062)[-1] == "b is not evaluated with 6.2 % of the weights left."
    assert not any("not evaluated with" in line for line in told(results(deeper), spec, level=0.5))


def test_many_sources_that_are_not_evaluated_are_counted(spec: Spec) -> None:
    table = results(GOOD)
    compared = comparisons(table, spec)
    more = [compared[compared["left"] == 0.5].assign(source=f"s{number}") for number in range(10)]
    lines = answers(pd.concat([compared, *more], ignore_index=True), 0.125, curves(table))
    assert lines[-1] == ("s0, s1, s2, s3, s4, s5, s6 and 3 more are not evaluated with 12.5 % of the weights left.")


def test_rounds_that_leave_as_many_weights_are_one_transfer_each(spec: Spec) -> None:
    """Of ten rounds that keep one weight of a thousand the first is compared, and its diverged runs are counted."""
    last = {pair: dict.fromkeys(range(10, 20), 0.5) for pair in GOOD}
    table = results(last)
    table.loc[table["round"].between(10, 11) & (table["source"] == "b") & (table["seed"] == 0), "status"] = "diverged"
    table["survivors"], table["fraction_pruned"] = 1, 0.999
    table.loc[table["ticket"] == "dense", ["survivors", "fraction_pruned"]] = 1000, 0.0
    assert "from random ones in the one transfer" in answer(table, spec, "Does")
    assert "1 diverged run counts with its accuracy." in answer(table, spec, "Is")


def test_how_far_is_the_last_level_that_is_not_worse_than_dense(spec: Spec) -> None:
    line = answer(results(GOOD), spec, "How far", level=0.5)
    # dense has 95 %: a's 94 % at 25 % left is a point worse and not shown to be less
    assert "Less than 1 point worse than the dense network down to: on a (dense: 9" in line
    assert "50 % of the weights from a and 50 % of the weights from b" in line
    assert "p < 0.05 at this and every less pruned level evaluated, not corrected over transfers" in line


def test_how_far_says_where_no_level_holds_and_where_none_can_be_tested(spec: Spec) -> None:
    table = results(GOOD, dense=0.99)
    assert "no level from a and no level from b" in answer(table, spec, "How far")
    few = table[(table["seed"] < 2) | (table["source"] != "b")]
    assert "no level from a and no test from b" in answer(few, spec, "How far")


def test_many_transfers_are_summed_up_by_the_furthest_and_the_least(spec: Spec) -> None:
    table = results(GOOD)
    compared = comparisons(table, spec)
    dense = compared[compared["comparison"] == "dense"]
    more = [dense.assign(target=f"t{number}") for number in range(5)]
    more.append(dense.assign(target="t9", p_noninferior=0.5))
    lines = answers(pd.concat([compared, *more], ignore_index=True), 0.125, curves(table))
    (line,) = [line for line in lines if line.startswith("How far")]
    assert "furthest 50 % of the weights (" in line
    assert "least far 50 % of the weights (" in line
    assert "no level in 2 of 14 transfers" in line and "no test" not in line


def test_without_dense_networks_how_far_is_not_said(spec: Spec) -> None:
    table = results(GOOD)
    assert "Not said" in answer(table[table["ticket"] != "dense"], spec, "How far")


def test_the_difference_is_real_by_corrected_tests_with_seeds_and_effects(spec: Spec) -> None:
    line = answer(results(GOOD), spec, "Is")
    assert "winning minus random has p < 0.05 in 2 of 2 tests on 6 seeds, Holm-corrected over all of them" in line
    compared = comparisons(results(GOOD), spec)
    effects = compared.loc[(compared["comparison"] == "control") & (compared["left"] == 0.125), "effect"]
    assert f"(Hedges' g) of {effects.min():.1f} to {effects.max():.1f}" in line
    of_one = {pair: by_round for pair, by_round in GOOD.items() if pair[0] != "b"}
    line = answer(results(of_one), spec, "Is")
    assert f"p < 0.05 in its one test on 6 seeds with an effect (Hedges' g) of {effects.iloc[0]:.1f}. " in line
    assert line.endswith("Intervals and p are of seeds alone: they are conditional on the one training and test set.")


def test_what_is_significant_alone_and_not_after_correction_is_no_difference(spec: Spec) -> None:
    """p of 0.03 twice: 0.06 each after Holm."""
    table = results(GOOD)
    compared = comparisons(table, spec)
    control = compared["comparison"] == "control"
    compared = compared.assign(p=compared["p"].mask(control, 0.03), p_holm=compared["p_holm"].mask(control, 0.06))
    lines = answers(compared, 0.125, curves(table))
    assert "transferred tickets are not shown to differ from random ones in the one transfer (paired" in lines[0]
    assert "winning minus random has no p < 0.05 in any of 2 tests" in lines[-1]
    assert any(
        "no difference between winning tickets and random ones is shown" in d for d in differences(compared, 0.125)
    )


def test_what_cannot_be_tested_is_counted_with_its_reason(spec: Spec) -> None:
    table = results(GOOD)
    few = table[table["seed"] < 2]
    line = answer(few, spec, "Does")
    assert "are not tested against random ones (n = 2: too few seeds for a test). They are not tested against" in line
    assert line.endswith("(n = 2: too few seeds for a test).") and "t-test" not in line
    how_far = "How far can the winning ticket be pruned? Not tested beside the dense network (n = 2: too few"
    assert answer(few, spec, "How far").startswith(how_far)
    assert answer(few, spec, "Is").endswith("cannot be tested (n = 2: too few seeds for a test).")
    assert "winning minus random cannot be tested (n = 2: too few seeds for a test)" in answer(few, spec, "Is")


def test_transfers_are_counted_by_what_is_shown_and_none_by_what_is_not(spec: Spec) -> None:
    """Four transfers of which one is above, one below, one not shown to differ and one not tested."""
    table = comparisons(results(GOOD), spec)
    row = table[(table["comparison"] == "control") & (table["left"] == 0.125)].iloc[:1]
    told: list[dict[str, Any]] = [
        {"p_holm": 0.01, "difference": 0.1},
        {"p_holm": 0.01, "difference": -0.1},
        {"p_holm": 0.5},
        {"p_holm": np.nan, "remark": "n = 2: too few seeds for a test"},
    ]
    rows = pd.concat([row.assign(**one) for one in told], ignore_index=True)
    tests = "(paired t-tests, p < 0.05, Holm-corrected over 2 tests)"
    assert tally(rows, "random ones") == (
        "above random ones in 1 of 4 transfers, below them in 1, not shown to differ from them in 1 and not tested "
        f"against them in 1 (n = 2: too few seeds for a test) {tests}"
    )
    assert tally(rows[:1].sample(4, replace=True), "random ones") == f"above random ones in all 4 transfers {tests}"


def test_diverged_runs_at_the_level_are_counted(spec: Spec) -> None:
    table = results(GOOD)
    table.loc[(table["round"] == 3) & (table["seed"] == 0) & (table["source"] == "b"), "status"] = "diverged"
    assert "1 diverged run counts with its accuracy." in answer(table, spec, "Is")
    assert "diverged" not in answer(table, spec, "Is", level=0.5)


def test_a_grid_without_transfers_says_so(spec: Spec) -> None:
    own = results({("a", "a"): {1: 0.9}, ("any", "a"): {1: 0.8}})
    assert "No source is evaluated on another target" in answer(own, spec, "Does")
    assert not any(line.startswith("From where") for line in told(own, spec))


def test_before_there_are_results_nothing_is_claimed(spec: Spec) -> None:
    nothing = results(GOOD).assign(test_accuracy=np.nan, status="missing")
    assert told(nothing, spec) == ["With 12.5 % of the weights left, no comparison has results yet."]
    assert len(answers(comparisons(nothing.iloc[:0], spec), None, curves(nothing))) == 1


def test_each_difference_is_a_sentence_with_its_corrected_p(spec: Spec) -> None:
    compared = comparisons(results(GOOD), spec)
    lines = differences(compared, 0.125)
    assert len(lines) == 3
    row = compared[(compared["comparison"] == "transfer") & (compared["left"] == 0.125)].iloc[0]
    below = f"{-100 * row['difference']:.2f} points below"
    assert lines[2] == (
        f"b -> a with 12.5 % of the weights left: winning tickets are {below} those "
        f"of the target itself ({100 * row['low']:+.2f} to {100 * row['high']:+.2f}, p <0.0001 Holm-corrected over 1 "
        "test, n = 6)."
    )


def test_a_difference_that_is_not_shown_is_called_equivalent_only_where_that_is(spec: Spec, tmp_path: Path) -> None:
    table = results(GOOD)
    (line,) = [line for line in differences(comparisons(table, spec), 0.5) if "those of the target" in line]
    assert "no difference between winning tickets and those of the target itself is shown" in line
    assert line.endswith(", and they are equivalent within ±1 point.")
    narrow = comparisons(table, load_with_margin(tmp_path, 0.0001))
    assert not any("equivalent" in line for line in differences(narrow, 0.5))


def test_an_untested_difference_is_told_without_a_verdict(spec: Spec) -> None:
    few = results(GOOD).query("seed < 2")
    lines = differences(comparisons(few, spec), 0.125)
    assert all(line.endswith("no test, n = 2: too few seeds for a test.") for line in lines)


def test_more_than_a_few_differences_are_not_spelled_out(spec: Spec) -> None:
    compared = comparisons(results(GOOD), spec)
    assert differences(pd.concat([compared] * 3), 0.125) == []
    assert differences(compared, None) == []
