"""The paper's networks at their full width: one step of each, and tickets of it."""

from typing import Any

import pytest
import torch

from pipeline.lottery import models
from pipeline.lottery.data import Images
from pipeline.lottery.layers import prunable
from pipeline.lottery.pruning import prune
from pipeline.lottery.training import train
from pipeline.recipes.models import model_from
from pipeline.recipes.rules import ByRate
from pipeline.recipes.training import Train

MASK = {"stage": "0" * 64, "output": "mask"}
WEIGHTS = {"stage": "0" * 64, "output": "it0"}

FIELDS: dict[str, Any] = {
    "input": [3, 32, 32],
    "classes": 10,
    "data": {"name": "noise"},
    "optimizer": {"name": "sgd", "lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4},
    "batch_size": 4,
    "norm_batch": 2,
    "iterations": 1,
    "record_every": 1,
    "seed": 0,
    "round": 0,
    "channels_last": True,
}


@pytest.fixture(scope="module")
def noise() -> Images:
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randint(256, (4, 3, 32, 32), generator=draw, dtype=torch.uint8), torch.arange(4)
    return Images(x, y, x, y, torch.full((3,), 0.5), torch.full((3,), 0.25), 10)


@pytest.mark.parametrize(("name", "total"), [("vgg19", 20_018_880), ("resnet50", 23_454_912)])
def test_a_round_of_the_papers_network(name: str, total: int, noise: Images) -> None:
    fields = FIELDS | {"model": {"name": name}}
    # what is captured, not what is final: after one step, batch norm's statistics make ResNet50's evaluation overflow
    dense = train(Train.from_fields(fields), {}, noise, capture={0, 1})
    layers = list(prunable(models.build(model_from({"name": name}), [3, 32, 32], 10)))
    mask = prune({layer: dense.captured[1][layer] for layer in layers}, None, ByRate(0.2, scope="global"))
    assert sum(kept.numel() for kept in mask.values()) == total
    start: dict[str, Any] = {"mask": MASK, "weights": WEIGHTS}
    ticket = train(
        Train.from_fields(fields | {"round": 1, "start": start}),
        {"mask": mask, "weights": dense.captured[0]},
        noise,
        capture={1},
    )
    assert ticket.summary["fraction_pruned"] == pytest.approx(0.2)
    for layer, kept in mask.items():
        assert not ticket.captured[1][layer][~kept].any()
        assert ticket.captured[1][layer][kept].ne(dense.captured[0][layer][kept]).any()
