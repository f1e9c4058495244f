"""Numbers of a paper that are relative to another ticket: seed by seed, at the same round."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.experiment.errors import UserError
from pipeline.experiment.loading import load
from pipeline.report.findings import Findings
from pipeline.report.page.rendering import render
from pipeline.report.rows import rows_of
from pipeline.report.sections.beside_paper import beside_paper

GRID = """
name: relative
model: lenet-8
seeds: [0, 1, 2]
training: {batch_size: 64, length: 2ep}
prune: {rate: 0.5, rounds: 2}
sources: [{dataset: digits}]
targets: same
tickets: [winning, {name: redrawn, weights: redrawn}]
analysis:
  published:
    of: A paper
    values:
      - {metric: test_accuracy, ticket: winning, round: 2, versus: dense, value: -0.01}
      - {metric: convergence, ticket: redrawn, round: 1, versus: winning, value: 1.9}
      - {metric: accuracy_at_convergence, ticket: winning, round: 1, versus: dense, value: 0.0}
      - {metric: test_accuracy, ticket: winning, round: 2, versus: lucky, value: 0.3}
"""
STEPS: dict[tuple[str, int], list[float]] = {
    ("dense", 0): [100, 200, 400],
    ("winning", 1): [50, 100, math.nan],
    ("redrawn", 1): [100, 300, 800],
}
"""Iterations to convergence, by ticket, round and seed."""


@pytest.fixture(scope="module")
def findings(findings_from: Callable[..., Findings]) -> Any:
    """Winning tickets of round 2 are 1, 2 and 3 points below the dense network of their seed."""
    made = findings_from(GRID, lambda point: 0.9 - 0.01 * (point.seed + 1) * (point.round == 2), spread=0)
    rows = [
        (row.stage, STEPS.get((row.ticket, row.round), [10] * 3)[row.seed], 0.8 + 0.1 * (row.ticket == "winning"))
        for row in rows_of(made.results)
    ]
    found = pd.DataFrame(rows, columns=["stage", "iteration", "accuracy"]).assign(epoch=1.0)
    found["converged"] = found["iteration"].notna().astype("boolean")
    table = beside_paper(made.results, found, made.computed["networks"], made.spec)
    return replace(made, computed=made.computed | {"convergence": found, "beside_paper": table})


def test_accuracies_are_differences_of_a_seed(findings: Findings) -> None:
    row = findings.computed["beside_paper"].iloc[0]
    assert (row["n"], row["versus"]) == (3, "dense")
    assert (row["mean"], row["difference"]) == pytest.approx((-0.02, -0.01))
    half = 4.302652729911275 * 0.01 / math.sqrt(3)
    assert (row["low"], row["high"]) == pytest.approx((-0.02 - half, -0.02 + half))


def test_convergence_is_a_quotient_of_seeds_that_both_converged(findings: Findings) -> None:
    row = findings.computed["beside_paper"].iloc[1]
    assert (row["n"], row["mean"]) == (2, pytest.approx((100 / 50 + 300 / 100) / 2))
    assert row["difference"] == pytest.approx(2.5 - 1.9)


def test_accuracy_at_convergence_is_that_of_the_moment(findings: Findings) -> None:
    row = findings.computed["beside_paper"].iloc[2]
    assert (row["n"], row["mean"]) == (2, pytest.approx(0.1))


def test_a_ticket_that_is_not_there_leaves_a_row_without_numbers(findings: Findings) -> None:
    row = findings.computed["beside_paper"].iloc[3]
    assert pd.isna(row["n"]) and row["versus"] == "lucky" and row["published"] == 0.3


def test_the_page_says_what_they_are_relative_to(findings: Findings) -> None:
    said = render(findings)
    assert "test accuracy (%), minus dense&#39;s" in said
    assert "iterations to convergence, divided by winning&#39;s" in said
    assert ">2.50<" in said and ">+0.60<" in said


def test_shares_of_networks_are_relative_to_nothing(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(GRID.replace("metric: convergence", "metric: zero_loss"))
    with pytest.raises(UserError, match="a share of networks is relative to no other ticket"):
        load(file)
