"""What the terminal says about a grid's results."""

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from pipeline.report.terminal import plain_text, report

SEEDS = 4


def results(
    gap: float, noise: float = 0.01, rounds: int = 9, targets=("digits_a",), seeds: int = SEEDS
) -> pd.DataFrame:
    """Winning tickets of `mnist` above random ones by `gap`, growing from round 0 on."""
    draw = np.random.default_rng(0)
    rows = []
    for target in targets:
        for number in range(rounds):
            survivors = round(1000 * 0.5**number)
            for ticket, source, level in (("winning", "mnist", 0.9), ("random", "any", 0.9 - gap * number / rounds)):
                values = level + noise * draw.standard_normal(seeds)
                rows += [(source, target, ticket, number, seed, survivors, value) for seed, value in enumerate(values)]
        rows += [("any", target, "dense", 0, seed, 1000, 0.95) for seed in range(seeds)]
    table = pd.DataFrame(rows, columns=["source", "target", "ticket", "round", "seed", "survivors", "test_accuracy"])
    names = dict.fromkeys(["source_optimizer", "target_optimizer"], "sgd")
    fractions = {"total": 1000, "fraction_pruned": 1 - table["survivors"] / 1000}
    return table.assign(experiment="test", model="lenet", status="ok", **names, **fractions)


def test_a_table_for_each_target_with_weights_left_as_columns():
    text = plain_text(results(0.2, targets=("digits_a", "digits_b")))
    assert "Test accuracy on digits_a (%)" in text
    assert "Test accuracy on digits_b (%)" in text
    heading = next(line for line in text.splitlines() if "% left" in line)
    assert "100 % left" in heading
    assert "0.4 % left" in heading
    dense = next(line for line in text.splitlines() if "dense" in line)
    assert "95.0 ± 0.0" in dense
    assert f"| {SEEDS} |" in dense


@pytest.mark.parametrize("width", [80, 100, 140])
def test_nothing_is_cut_off_at_usual_widths(width):
    lines = plain_text(results(0.2, rounds=15), width).splitlines()
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)


def test_a_difference_is_said_with_interval_p_and_n():
    text = " ".join(plain_text(results(0.2)).split())
    assert "winning tickets are above random ones in 1 of 1 transfers" in text
    assert "mnist -> digits_a with 0.4 % of the weights left: winning tickets are 1" in text
    assert "points above random ones (+" in text
    assert "n = 4)" in text


def test_the_other_direction_is_said_too():
    assert "points below random ones" in " ".join(plain_text(results(-0.2)).split())


def test_no_difference_is_not_called_one():
    text = " ".join(plain_text(results(0.0)).split())
    assert "no difference between winning and random tickets is shown" in text
    assert "above random ones in 0 of 1 transfers and below in 0" in text


def test_too_few_seeds_are_said_in_words():
    text = " ".join(plain_text(results(0.2, seeds=2)).split())
    assert "n = 2: too few seeds for a test" in text
    assert "1 not testable" in text


def test_missing_failed_and_diverged_runs_are_counted():
    table = results(0.2)
    table.loc[:2, "status"] = ["diverged", "failed", "missing"]
    table.loc[1:2, "test_accuracy"] = np.nan
    text = plain_text(table)
    assert f"1 of {len(table)} runs diverged" in text
    assert f"1 of {len(table)} runs failed." in text
    assert f"1 of {len(table)} runs have no result yet." in text


def test_a_grid_without_any_result_is_shown_as_that():
    table = results(0.2).assign(status="missing", test_accuracy=np.nan)
    assert f"{len(table)} of {len(table)} runs have no result yet." in plain_text(table)


def test_a_terminal_gets_box_characters():
    console = Console(width=100, force_terminal=True, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(report(results(0.2), width=100))
    assert "─" in console.export_text()
