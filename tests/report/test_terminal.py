"""What the terminal says about a grid's results."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from pipeline.experiment.loading import load
from pipeline.experiment.spec import Spec
from pipeline.report.analysis import networks
from pipeline.report.analysis.comparisons import COMPARISONS
from pipeline.report.findings import Findings
from pipeline.report.rows import table_of
from pipeline.report.sections.matrices import LONGEST
from pipeline.report.terminal_report import report

SEEDS = 4
GRID = """
name: test
model: {name: lenet, hidden: [30, 10]}
seeds: 4
prune: {rate: 0.5, rounds: 20}
training: {optimizer: {name: sgd, lr: 0.1}, batch_size: 64, length: 1ep}
sources: [{name: mnist, dataset: {name: digits, half: a}}]
targets:
  - {name: mnist, dataset: {name: digits, half: a}}
  - {name: digits_a, dataset: {name: digits, half: b}}
  - {name: digits_b, dataset: {name: digits, classes: [0, 1]}}
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    file = tmp_path_factory.mktemp("terminal") / "grid.yaml"
    file.write_text(GRID)
    return load(file)


def of(table: pd.DataFrame, spec: Spec) -> Findings:
    """Findings of a table of results without single networks."""
    none = table_of([], networks.TYPES)
    return Findings(spec, table, 0.0, computed={"networks": none})


@pytest.fixture(scope="module")
def said(spec: Spec, plain_text: Callable[..., str]) -> Callable[..., Any]:
    """The report of a table of results, in plain text."""

    def say(table: pd.DataFrame, width: int = 120) -> str:
        return plain_text(of(table, spec), width)

    return say


def results(
    gap: float, noise: float = 0.01, rounds: int = 9, targets: Any = ("digits_a",), seeds: int = SEEDS
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
    fractions: dict[str, Any] = {"total": 1000, "fraction_pruned": 1 - table["survivors"] / 1000}
    return table.assign(experiment="test", model="lenet", status="ok", **names, **fractions)


def test_a_table_for_each_target_with_weights_left_as_columns(said: Any) -> None:
    text = said(results(0.2, targets=("digits_a", "digits_b")))
    assert "Test accuracy on digits_a (%)" in text
    assert "Test accuracy on digits_b (%)" in text
    heading = next(line for line in text.splitlines() if "% left" in line)
    assert "100 % left" in heading
    assert "0.4 % left" in heading
    dense = next(line for line in text.splitlines() if "dense" in line)
    assert "95.0 ± 0.0" in dense
    assert f"| {SEEDS} |" in dense


@pytest.mark.parametrize("width", [80, 100, 140])
def test_nothing_is_cut_off_at_usual_widths(said: Any, width: int) -> None:
    lines = said(results(0.2, rounds=15, targets=("mnist", "digits_a", "digits_b")), width).splitlines()
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)


def test_the_tables_p_is_the_corrected_one_and_says_over_how_many_tests(said: Any, spec: Spec) -> None:
    table = results(0.03, targets=("mnist", "digits_a", "digits_b"))
    compared = of(table, spec).of(COMPARISONS)
    row = compared[(compared["round"] == 8) & (compared["comparison"] == "control")].sort_values("p").iloc[0]
    assert row["p_holm"] > row["p"]
    text = said(table)
    line = next(line for line in text.splitlines() if f"| {row['target']} " in line and " 0.4 %" in line)
    assert f"{row['p_holm']:.2g} " in line
    assert f"{100 * row['difference']:+.2f}" in line
    assert f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}" in line
    assert "p (Holm)" in text
    assert "Holm-corrected over the tests of a level: 3 with 0.8 % left and 3 with 0.4 % left" in " ".join(text.split())


def test_a_transfer_stands_beside_the_ticket_of_the_target_itself(
    said: Any, spec: Spec, plain_text: Callable[..., str]
) -> None:
    """Tickets of mnist on digits_a, 5 points and a little below digits_a's own."""
    table = results(0.2)
    assert "that of the target itself" not in said(table)
    own = table[table["ticket"] == "winning"].assign(source="own")
    own["test_accuracy"] += 0.05 + 0.001 * own["seed"]
    both = pd.concat([table, own])
    own_source = spec.sources[0].model_copy(update={"name": "own", "dataset": spec.targets[1].dataset})
    two = spec.model_copy(update={"sources": (*spec.sources, own_source)})
    text = plain_text(of(both, two))
    assert "winning minus that of the target itself, paired by seed" in text
    assert "mnist -> digits_a with 0.4 % of the weights left: winning tickets are 5.15 points below" in " ".join(
        text.split()
    )


def test_a_difference_is_said_with_interval_p_and_n(said: Any) -> None:
    text = " ".join(said(results(0.2)).split())
    assert "transferred tickets are above random ones in the one transfer" in text
    assert "mnist -> digits_a with 0.4 % of the weights left: winning tickets are 1" in text
    assert "points above random ones (+" in text
    assert "Holm-corrected over 1 test, n = 4)" in text


def test_the_other_direction_is_said_too(said: Any) -> None:
    assert "points below random ones" in " ".join(said(results(-0.2)).split())


def test_no_difference_is_not_called_one(said: Any) -> None:
    text = " ".join(said(results(0.0)).split())
    assert "no difference between winning tickets and random ones is shown" in text
    assert "not shown to differ from random ones in the one transfer" in text


def test_too_few_seeds_are_said_in_words(said: Any) -> None:
    text = " ".join(said(results(0.2, seeds=2)).split())
    assert "n = 2: too few seeds for a test" in text
    assert "not tested against random ones (n = 2: too few seeds for a test)" in text and " 0 of" not in text


def test_missing_failed_and_diverged_runs_are_counted(said: Any) -> None:
    table = results(0.2)
    table.loc[:2, "status"] = ["diverged", "failed", "missing"]
    table.loc[1:2, "test_accuracy"] = np.nan
    text = said(table)
    assert f"1 of {len(table)} runs diverged" in text
    assert f"1 of {len(table)} runs failed." in text
    assert f"1 of {len(table)} runs has no result yet." in text


def test_a_grid_without_any_result_is_shown_as_that(said: Any) -> None:
    table = results(0.2).assign(status="missing", test_accuracy=np.nan)
    assert f"{len(table)} of {len(table)} runs have no result yet." in said(table)
    assert "no comparison has results yet" in said(table)


def test_many_comparisons_are_counted_and_not_listed(spec: Spec, plain_text: Callable[..., str]) -> None:
    table = results(0.2)
    findings = of(table, spec)
    many = pd.concat([findings.of(COMPARISONS)] * (LONGEST // 2 + 1), ignore_index=True)
    findings.computed["comparisons"] = many
    text = plain_text(findings)
    assert f"winning minus random: {2 * (LONGEST // 2 + 1)} comparisons, too many for a terminal" in text
    assert "p (Holm)" not in text


def test_a_terminal_gets_box_characters(spec: Spec) -> None:
    table = results(0.2)
    console = Console(width=100, force_terminal=True, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(report(of(table, spec), width=100))
    assert "─" in console.export_text()
