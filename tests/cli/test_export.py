"""An exported ticket is the one that the options mean, and loads into a model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline import Ticket
from pipeline.lottery import models
from pipeline.recipes.models import model_from


def lenet() -> nn.Module:
    return models.build(model_from({"name": "lenet", "hidden": [20, 10]}), [1, 8, 8], 5, None)


def test_the_default_is_the_winning_ticket_of_the_last_round_and_the_first_seed(
    finished: Path, tickets: Callable[..., Any]
) -> None:
    said = tickets("export", "tiny.yaml", "out.safetensors")
    assert (said.code, said.out) == (0, "out.safetensors: 63.99% pruned, low seed 0 round 2\n")
    ticket = Ticket.load("out.safetensors")
    chosen = {name: ticket.provenance[name] for name in ("source", "target", "ticket", "round", "seed")}
    assert chosen == {"source": "low", "target": "low", "ticket": "winning", "round": 2, "seed": 0}
    model = lenet()
    ticket.apply(model)
    parameters = dict(model.named_parameters())
    for name, kept in ticket.mask.items():
        assert torch.equal(parameters[name] != 0, kept)


@pytest.mark.parametrize(
    ("options", "label"),
    [
        (["--round", "1", "--seed", "1"], "40.00% pruned, low seed 1 round 1"),
        (["--source", "low", "--target", "low"], "63.99% pruned, low seed 0 round 2"),
        (["--ticket", "random"], "63.99% pruned, random any -> low seed 0 round 2"),
        (["--ticket", "dense"], "0.00% pruned, low seed 0 dense"),
    ],
)
def test_options_choose(finished: Path, tickets: Callable[..., Any], options: list[str], label: str) -> None:
    said = tickets("export", "tiny.yaml", "out", *options)
    assert said.out == f"out: {label}\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ticket", "wining"], "--ticket wining: here the grid has winning, random, dense."),
        (["--source", "nope"], "--source nope: here the grid has low."),
        (["--target", "nope"], "--target nope: here the grid has low."),
        (["--seed", "9"], "--seed 9: here the grid has 0, 1."),
        (["--round", "0"], "--round 0: here the grid has 1, 2."),
        (["--ticket", "random", "--source", "low"], "--source low: a random ticket of this grid is of no source"),
    ],
)
def test_a_choice_that_is_not_there_is_answered_with_those_that_are(
    finished: Path, tickets: Callable[..., Any], options: list[str], message: str
) -> None:
    said = tickets("export", "tiny.yaml", "out", *options)
    assert said.code == 2
    assert message in said.err
    assert not Path("out").exists()


@pytest.mark.parametrize(("output", "message"), [(".", "a folder"), ("no/out", "its folder is not there")])
def test_a_place_that_cannot_be_written_is_named(
    finished: Path, tickets: Callable[..., Any], output: str, message: str
) -> None:
    said = tickets("export", "tiny.yaml", output)
    assert said.code == 2
    assert f"{output}: {message}" in said.err
