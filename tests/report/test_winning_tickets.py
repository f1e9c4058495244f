"""Winning tickets as Mehta 2019 defines them: as accurate as their reference, in no more iterations."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.experiment.errors import UserError
from pipeline.experiment.loading import load
from pipeline.experiment.spec import Spec
from pipeline.report.findings import Findings
from pipeline.report.histories import TYPES
from pipeline.report.page.rendering import render
from pipeline.report.sections.winning_tickets import (
    CAUTION,
    END,
    VALIDATION,
    winning_rows,
    winning_sentences,
    winning_tickets,
)

GRID = """
name: wins
model: lenet-8
seeds: 3
training: {batch_size: 64, length: 2ep}
prune: {rate: 0.5, rounds: 3, evaluate: [0, 1, 2, 3]}
sources: [{name: odd, dataset: {name: digits, classes: [1, 3, 5]}}]
targets: [{name: even, dataset: {name: digits, classes: [0, 2, 4]}}]
tickets: [{name: late-reset, start: final}, winning, random]
analysis: {reference: late-reset}
"""
LENGTH = 100
"""Iterations of every training."""


@pytest.fixture(scope="module")
def made(findings_from: Callable[..., Findings]) -> Any:
    return findings_from(GRID, lambda point: 0.5, spread=0)


@pytest.fixture
def told(made: Any) -> Callable[..., Any]:
    """`told({(ticket, round): accuracies of seeds 0, 1, 2}, stops)`: the table, accuracies 0.5 where none is given.

    `stops`: iterations of the smallest validation loss, by (ticket, round), 50 where none are given; None: there are no
    validation images. At its end a run is 10 points better than it was then.
    """

    def table(
        accuracies: Any,
        stops: Any = None,
        results: pd.DataFrame | None = None,
        spec: Spec | None = None,
        diverged: Any = (),
    ) -> Any:
        results = (made.results if results is None else results).copy()
        histories = []
        at: Any
        for at, row in results.iterrows():
            stopped = accuracies.get((row["ticket"], row["round"]), [0.5] * 3)[row["seed"]]
            is_lost = (row["ticket"], row["round"], row["seed"]) in diverged
            results.loc[at, "status"] = "diverged" if is_lost else "ok"
            results.loc[at, "test_accuracy"] = stopped + (0.1 if stops is not None else 0)
            when = (stops or {}).get((row["ticket"], row["round"]), [50] * 3)[row["seed"]]
            moments = [(10, 2.0, 0.1), (when, 1.0, stopped), (LENGTH, 3.0, results.loc[at, "test_accuracy"])]
            for iteration, loss, accuracy in moments:
                numbers = {"iteration": iteration, "epoch": iteration / 50, "test_accuracy": accuracy}
                numbers["validation_loss"] = loss if stops is not None else np.nan
                numbers |= {"train_loss": math.nan if is_lost and iteration == LENGTH else 1.0, "test_loss": 1.0}
                histories.append({"stage": row["stage"], **numbers})
        records = pd.DataFrame(histories, columns=list(TYPES)).drop_duplicates(["stage", "iteration"], keep="last")
        return winning_tickets(results, records, spec or made.spec)

    return table


def row_of(table: pd.DataFrame, ticket: str, number: int) -> Any:
    return table[(table["ticket"] == ticket) & (table["round"] == number)].iloc[0]


def against_dense(spec: Spec) -> Any:
    """The spec, its tickets held against the dense network from scratch."""
    return spec.model_copy(update={"analysis": spec.analysis.model_copy(update={"reference": None})})


def test_a_ticket_may_win_on_means_and_not_in_every_seed(told: Any) -> None:
    table = told({("late-reset", 0): [0.60, 0.70, 0.80], ("late-reset", 2): [0.63, 0.72, 0.79]})
    row = row_of(table, "late-reset", 2)
    assert (row["source"], row["target"], row["reference"], row["n"]) == ("odd", "even", "late-reset", 3)
    assert row["remaining"] == pytest.approx(0.25, abs=0.01)
    # differences of 3, 2 and -1 points: their mean is 4/3, their variance 13/3
    assert (row["accuracy"], row["reference_accuracy"]) == pytest.approx((0.71333333, 0.70))
    half = 4.302652729911275 * math.sqrt(13 / 3) / 100 / math.sqrt(3)
    assert row["difference"] == pytest.approx(0.04 / 3)
    assert (row["low"], row["high"]) == pytest.approx((0.04 / 3 - half, 0.04 / 3 + half))
    assert row["wins"] and row["wins_in"] == 2 and row["remark"] == ""


def test_equal_accuracy_in_as_many_iterations_wins(told: Any) -> None:
    row = row_of(told({}), "winning", 1)
    assert row["wins"] and row["wins_in"] == 3
    assert (row["difference"], row["iterations"], row["reference_iterations"]) == (0, LENGTH, LENGTH)
    assert row["measured_at"] == END
    assert pd.isna(row["low"]) and row["remark"].startswith("every seed has the same difference")


def test_a_ticket_below_its_reference_does_not_win(told: Any) -> None:
    row = row_of(told({("winning", 1): [0.5, 0.5, 0.499]}), "winning", 1)
    assert not row["wins"] and row["wins_in"] == 2


def test_with_validation_images_accuracy_and_time_are_those_of_the_smallest_loss(told: Any) -> None:
    stops = {("late-reset", 0): [40, 50, 60], ("winning", 1): [30, 50, 70], ("winning", 2): [40, 50, 61]}
    table = told({("winning", number): [0.55, 0.56, 0.57] for number in (1, 2)}, stops)
    row = row_of(table, "winning", 1)
    assert row["measured_at"] == VALIDATION
    assert (row["accuracy"], row["reference_accuracy"]) == pytest.approx((0.56, 0.5)), "not the 10 points of the end"
    assert (row["iterations"], row["reference_iterations"]) == (50, 50)
    assert row["wins"] and row["wins_in"] == 2, "the third seed takes longer"
    late = row_of(table, "winning", 2)
    assert not late["wins"] and late["iterations"] == pytest.approx(151 / 3)


def test_without_a_named_reference_it_is_the_dense_network_from_scratch(made: Any, told: Any) -> None:
    accuracies = {("dense", 0): [0.6] * 3, ("late-reset", 0): [0.3] * 3, ("winning", 1): [0.6, 0.7, 0.5]}
    table = told(accuracies, spec=against_dense(made.spec))
    row = row_of(table, "winning", 1)
    assert row["reference"] == "dense" and row["reference_accuracy"] == pytest.approx(0.6)
    assert row["wins"] and row["wins_in"] == 2


def test_only_the_first_draw_of_a_dense_network_is_the_reference(made: Any) -> None:
    results, histories = made.results, made.computed["histories"]
    dense = results[results["ticket"] == "dense"]
    twice = pd.concat([results, dense.assign(draw=1, test_accuracy=0.9)], ignore_index=True)
    table = winning_tickets(twice, histories, against_dense(made.spec))
    assert row_of(table, "winning", 1)["reference_accuracy"] == pytest.approx(0.5)


def test_a_ticket_that_sources_share_stands_beside_the_reference_of_each(
    findings_from: Callable[..., Findings],
) -> None:
    two = "sources: [{name: high, dataset: {name: digits, classes: [7, 8, 9]}}, "
    found = findings_from(GRID.replace("sources: [", two), lambda point: 0.5 + 0.1 * (point.source == "high"), spread=0)
    table = found.computed["winning_tickets"]
    drawn = table[(table["ticket"] == "random") & (table["round"] == 1)]
    assert [(row.source, row.reference_accuracy, row.wins) for row in drawn.itertuples()] == [
        ("high", pytest.approx(0.6), False),
        ("odd", pytest.approx(0.5), True),
    ]
    assert list(dict.fromkeys(zip(table["source"], table["ticket"], strict=True))) == [
        (source, ticket) for source in ("high", "odd") for ticket in ("late-reset", "winning", "random")
    ]


def test_a_run_that_diverged_wins_in_no_time(told: Any) -> None:
    table = told({("winning", 1): [0.9] * 3}, {}, diverged=[("winning", 1, 0)])
    row = row_of(table, "winning", 1)
    assert not row["wins"] and row["wins_in"] == 2 and pd.isna(row["iterations"])
    assert row["accuracy"] == pytest.approx((0.9 + 0.1 + 0.9 + 0.9) / 3), "it counts with what it ended with"
    lost = told({("winning", 1): [0.9] * 3}, {}, diverged=[("late-reset", 0, 0)])
    assert not row_of(lost, "winning", 1)["wins"], "nor is a reference that diverged one to win against"


def test_two_seeds_have_no_interval_and_none_no_verdict(made: Any, told: Any) -> None:
    results = made.results[made.results["seed"] < 2]
    row = row_of(told({("winning", 1): [0.6, 0.4, 0.9]}, None, results), "winning", 1)
    assert (row["n"], row["remark"], row["wins"], row["wins_in"]) == (2, "n = 2: too few seeds for a test", True, 1)
    assert pd.isna(row["low"])
    nothing = row_of(told({("winning", 1): [np.nan] * 3}), "winning", 1)
    assert pd.isna(nothing["wins"]) and pd.isna(nothing["wins_in"])
    assert nothing["remark"] == "no result of the ticket yet"
    without = made.results[made.results["ticket"] != "dense"]
    alone = row_of(told({}, None, without, against_dense(made.spec)), "winning", 1)
    assert alone["remark"] == "the grid trains no dense network for it" and pd.isna(alone["wins"])


def test_the_smallest_and_the_most_accurate_winning_ticket_are_told(told: Any) -> None:
    accuracies = {
        ("late-reset", 0): [0.60, 0.60, 0.60],
        ("late-reset", 1): [0.70, 0.71, 0.72],
        ("late-reset", 2): [0.60, 0.60, 0.63],
        ("late-reset", 3): [0.10, 0.10, 0.10],
        ("winning", 2): [0.70, 0.70, 0.70],
    }
    table = told(accuracies)
    found = [(one.ticket, one.which, one.round, one.accuracy, one.wins_in) for one in winning_rows(table)]
    assert found == [
        ("late-reset", "smallest", "2", "61.00", "3"),
        ("late-reset", "most accurate", "1", "71.00", "3"),
        ("winning", "smallest and most accurate", "2", "70.00", "3"),
        ("random", "no winning ticket (3 rounds evaluated)", "3", "50.00", "0"),
    ]
    said = winning_sentences(table)
    assert "The reference is round 0 of late-reset, the dense network, on the same source and target." in said[0]
    assert said[1] == (
        "odd -> even, late-reset: the smallest winning ticket has 25 % of the weights, 61.00 % beside 60.00 % (+1.00 "
        "points, -3.30 to +5.30) after 100 iterations beside 100, and wins in 3 of 3 seeds; the most accurate winning "
        "ticket has 50 % of the weights, 71.00 % beside 60.00 % (+11.00 points, +8.52 to +13.48) after 100 iterations "
        "beside 100, and wins in 3 of 3 seeds."
    )
    assert said[3].startswith(
        "odd -> even, random: no winning ticket (3 rounds evaluated); the most accurate one has 12.5 % of the weights, "
        "50.00 % beside 60.00 % (-10.00 points, "
    )
    assert said[3].endswith("and wins in none of 3 seeds.") and said[-1] == CAUTION


def test_of_equally_accurate_winning_tickets_the_smaller_one_is_told(told: Any) -> None:
    one = next(one for one in winning_rows(told({("winning", 3): [0.4] * 3})) if one.ticket == "winning")
    assert (one.which, one.round) == ("smallest and most accurate", "2")


def test_of_many_kinds_of_ticket_the_terminal_counts_those_that_have_a_winning_one(told: Any) -> None:
    table = told({("random", number): [0.4] * 3 for number in (1, 2, 3)})
    many = pd.concat([table.assign(target=f"target-{number}") for number in range(5)], ignore_index=True)
    assert winning_sentences(many)[1:] == [
        "Of 15 kinds of ticket, by source and target, 10 have a winning one; the report has them.",
        CAUTION,
    ]


def test_rounds_of_which_nothing_is_known_are_counted_apart(told: Any) -> None:
    nothing = {("winning", number): [np.nan] * 3 for number in (1, 2)}
    one = next(one for one in winning_rows(told({**nothing, ("winning", 3): [0.4] * 3})) if one.ticket == "winning")
    assert one.which == "no winning ticket (1 round evaluated, 2 not known: no result of the ticket yet)"


def test_the_page_shows_the_interval_and_the_caution(made: Any, told: Any) -> None:
    table = told({("late-reset", 0): [0.60, 0.70, 0.80], ("late-reset", 2): [0.63, 0.72, 0.79]})
    said = render(replace(made, computed=made.computed | {"winning_tickets": table}))
    assert "Winning tickets</h2>" in said and "a statement about means, not a test" in said
    assert ">+1.33<span" in said and ">-3.84 to +6.50<" in said and ">2 of 3<" in said


def test_a_page_without_any_reference_says_so(made: Any, told: Any) -> None:
    without = made.results[made.results["ticket"] != "dense"]
    spec = against_dense(made.spec).model_copy(update={"dense": False})
    said = render(replace(made, spec=spec, computed=made.computed | {"winning_tickets": told({}, None, without, spec)}))
    assert "There is no dense network to hold tickets against" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("reference: late-reset", "reference: late-rest"),
            "there is no ticket 'late-rest'. Did you mean 'late-reset'?",
        ),
        (("reference: late-reset", "reference: dense"), "Without it, it is the dense network trained from scratch."),
        (("evaluate: [0, 1, 2, 3]", "evaluate: [1, 2, 3]"), "source 'odd' does not evaluate it: add 0 to"),
        (
            ("start: final", "mask: permuted-within-layers, weights: shuffled"),
            "'late-reset' has no round 0: with nothing pruned there is nothing to shuffle.",
        ),
    ],
)
def test_a_reference_that_is_not_there_is_refused_at_its_place(tmp_path: Path, change: Any, said: Any) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(GRID.replace(*change))
    with pytest.raises(UserError) as error:
        load(file)
    assert f"{file}:10: analysis.reference: " in str(error.value) and said in str(error.value)
