"""Parameters whose first gradient comes late, or never, train as torch's plain optimizers train them."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.lottery.checkpoint import Checkpoint
from pipeline.lottery.data import Images, load
from pipeline.lottery.hooks import Hooks, Interrupted
from pipeline.lottery.optimizers import build_optimizer, restore, state_of
from pipeline.lottery.training import train
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.optimizers import optimizer_from
from pipeline.recipes.training import Train

MASK = {"stage": "0" * 64, "output": "mask"}

OPTIMIZERS: list[dict[str, Any]] = [
    {"name": "sgd", "lr": 0.1},
    {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True},
    {"name": "adam", "lr": 0.01, "weight_decay": 0.01},
]
COMES = {0: {0}, 1: {0, 2}, 2: {2}, 3: {0, 1, 2}, 4: {1}, 5: {0, 1}}
"""By step: which of four parameters have a gradient. The last one never has."""


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(3, 4, generator=generator)) for _ in range(4)]


def give_gradients(weights: list[nn.Parameter], step: int, zeros: bool = False) -> None:
    generator = torch.Generator().manual_seed(step)
    for number, weight in enumerate(weights):
        drawn = torch.randn(weight.shape, generator=generator)
        weight.grad = (drawn * 0 if zeros else drawn) if number in COMES[step] else None


@pytest.mark.parametrize("fields", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("restored", [False, True])
def test_late_gradients_make_the_same_steps_as_torchs_plain_optimizers(fields: dict[str, Any], restored: bool) -> None:
    ours, theirs = parameters(), parameters()
    plain = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[fields["name"]]
    expected = plain(theirs, **{k: v for k, v in fields.items() if k != "name"}, foreach=False, fused=False)
    optimizer = build_optimizer(optimizer_from(fields), ours)
    for step in COMES:
        if restored:
            states = state_of(optimizer)
            optimizer = build_optimizer(optimizer_from(fields), ours)
            restore(optimizer, {position: state for position, state in states.items() if state})
        give_gradients(ours, step)
        give_gradients(theirs, step)
        optimizer.step()
        expected.step()
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)
    for one, other in zip(ours, theirs, strict=True):
        assert {k for k, v in optimizer.state[one].items() if v is not None} == expected.state[other].keys()
        for name, value in expected.state[other].items():
            torch.testing.assert_close(optimizer.state[one][name], value, rtol=1e-6, atol=1e-7)
    assert torch.equal(ours[3], parameters()[3])


def test_a_late_momentum_begins_as_the_gradient_to_the_bit() -> None:
    """Also where that is a zero with a sign."""
    weights = parameters()
    optimizer = build_optimizer(optimizer_from(OPTIMIZERS[1] | {"weight_decay": 0}), weights)
    for step in (0, 1):
        give_gradients(weights, step, zeros=True)
        optimizer.step()
    momentum, gradient = optimizer.state[weights[2]]["momentum_buffer"], weights[2].grad
    assert gradient is not None and gradient.signbit().any() and not gradient.signbit().all()
    assert torch.equal(momentum.signbit(), gradient.signbit()) and not momentum.any()


@pytest.mark.parametrize("fields", OPTIMIZERS[1:3], ids=str)
def test_gradients_that_all_come_at_once_give_the_bits_of_torchs_fused_step(fields: dict[str, Any]) -> None:
    ours, theirs = parameters(), parameters()
    optimizer = build_optimizer(optimizer_from(fields), ours)
    fused = torch.optim.SGD(theirs, **{k: v for k, v in fields.items() if k != "name"}, fused=True)
    for step in range(4):
        for weights in (ours, theirs):
            generator = torch.Generator().manual_seed(step)
            for weight in weights:
                weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()
        fused.step()
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, 64) for _ in range(4)])
        self.never = nn.Linear(2, 2)
        self.head = nn.Linear(64, classes)

    def forward(self, images):
        hidden = images.flatten(1)
        for layer in self.layers:
            if not self.training or torch.rand(()) > 0.6:
                hidden = hidden + torch.relu(layer(hidden))
        return self.head(hidden)
"""


@pytest.fixture(scope="module")
def images() -> Images:
    return load(DataSet("digits"), Path())


@pytest.mark.parametrize("optimizer", OPTIMIZERS[1:], ids=str)
@pytest.mark.parametrize("stopped", [1, 2, 5])
def test_stochastic_depth_trains_and_goes_on_to_the_same_bits(
    optimizer: dict[str, Any], stopped: int, images: Images, tmp_path: Path
) -> None:
    file = tmp_path / "net.py"
    file.write_text(NET)
    fields = {
        "model": {"name": "user", "class": "Net", "source": hashlib.sha256(NET.encode()).hexdigest()},
        "input": [1, 8, 8],
        "classes": 10,
        "data": {"name": "digits"},
        "optimizer": optimizer,
        "batch_size": 64,
        "iterations": 12,
        "record_every": 6,
        "seed": 0,
        "round": 1,
        "start": {"mask": MASK},
    }
    generator = torch.Generator().manual_seed(0)
    mask = {f"layers.{n}.weight": torch.rand(64, 64, generator=generator) < 0.3 for n in range(4)}
    mask["never.weight"] = torch.ones(2, 2, dtype=torch.bool)
    given: dict[str, Any] = {"inputs": {"mask": mask}, "images": images, "model_file": file}
    whole = train(Train.from_fields(fields), **given)
    assert whole.final is not None
    for name, kept in mask.items():
        assert not whole.final[name][~kept].any() and whole.final[name][kept].all()
    found: list[bytes] = []
    done = iter(range(1, 100))
    hooks = Hooks(should_stop=lambda: next(done) == stopped, checkpoint=lambda kept: found.append(kept.to_bytes()))
    with pytest.raises(Interrupted):
        train(Train.from_fields(fields), **given, hooks=hooks)
    rest = train(Train.from_fields(fields), **given, resume=Checkpoint.from_bytes(found[0]))
    assert rest.history == whole.history and rest.final is not None
    assert all(torch.equal(value, rest.final[name]) for name, value in whole.final.items())
