"""`tickets compare`: two experiments of one store side by side."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def two(finished: Path, tickets: Callable[..., Any]) -> Path:
    """Beside `tiny`, `other`: three seeds, and a lower learning rate."""
    overrides = ["name=other", "seeds=[0, 1, 2]", "training.optimizer={name: sgd, lr: 0.05}"]
    given = [word for override in overrides for word in ("--set", override)]
    said = tickets("run", "tiny.yaml", *given, "--local", "--tracking", "none")
    assert said.code == 0, said.err
    return finished


def test_settings_and_results_that_differ_are_shown(two: Path, tickets: Callable[..., Any]) -> None:
    said = tickets("compare", "tiny", "other")
    assert said.code == 0, said.err
    assert "training.optimizer" in said.out and "lr: 0.05" in said.out and "[0, 1, 2]" in said.out
    assert "batch_size" not in said.out
    assert "with 36 % of the weights left, and other minus tiny" in said.out
    assert "n = 2 shared seeds" in said.out
    assert "means are over each one's own seeds" in said.out
    facts = json.loads(tickets("compare", "tiny", "other", "--json").out)
    assert {row["field"] for row in facts["settings"]} == {"seeds", "training.optimizer"}
    assert {row["left"] for row in facts["results"]} == {1.0, 0.6, 0.36}


def test_an_experiment_is_the_same_as_itself(finished: Path, tickets: Callable[..., Any]) -> None:
    said = tickets("compare", "tiny", "tiny.yaml", "--at", "0.4")
    assert said.code == 0, said.err
    assert "The two have the same settings." in said.out
    assert "the same runs" in said.out and "60 %" in said.out


def test_experiments_without_a_common_ticket_cannot_be_compared(finished: Path, tickets: Callable[..., Any]) -> None:
    text = (finished / "tiny.yaml").read_text().replace("name: low", "name: high").replace("name: tiny", "name: far")
    (finished / "far.yaml").write_text(text)
    said = tickets("compare", "tiny", "far.yaml")
    assert said.code == 2 and "nothing in common" in said.err
    assert "no experiment of that name" in tickets("compare", "tiny", "nothing").err
