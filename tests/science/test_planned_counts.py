"""How many weights survive is planned without a network; the masks that are then made agree, and so does torch."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn
from torch.nn.utils import prune as torch_prune

from pipeline.engine.driver import Listener, RunOptions, run
from pipeline.engine.store import Store
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load
from pipeline.lottery.tensor_files import load_mask, load_weights

AMOUNTS: list[dict[str, Any]] = [{"rate": 0.3, "rounds": 3}, {"fractions": [0.25, 0.5, 0.9]}]
RULES = [
    amount | {"method": method, "scope": scope, "prune_output": output}
    for amount, method, scope, output in product(
        AMOUNTS, ("iterative", "one-shot"), ("global", "layerwise"), (False, True)
    )
]
RULES += [{"rate": 0.3, "rounds": 3, "scope": "layerwise", "rates": {"fc2": 0.15}}]


def made(prune: dict[str, Any], folder: Path, unheard: Listener) -> tuple[Grid, Store]:
    document = {
        "name": "counts",
        "model": "lenet-13-7",  # no layer's size is a multiple of ten
        "seeds": [0],
        "training": {"optimizer": {"name": "sgd", "lr": 0.1}, "batch_size": 200, "length": "2it"},
        "prune": prune,
        "sources": [{"name": "low", "dataset": {"name": "digits", "classes": [0, 1, 2]}}],
        "tickets": ["winning", "random"],
        "retention": {"chains": "weights"},
    }
    file = folder / "grid.yaml"
    file.write_text(yaml.safe_dump(document))
    grid = expand(load(file), folder)
    assert run(grid, RunOptions(str(folder / "store"), folder, local=True), unheard).exit_code == 0
    return grid, Store(str(folder / "store"))


@pytest.mark.parametrize("prune", RULES, ids=str)
def test_the_planned_survivors_are_those_of_every_mask(
    prune: dict[str, Any], tmp_path: Path, unheard: Listener
) -> None:
    grid, store = made(prune, tmp_path, unheard)
    for point in grid.points:
        record = store.record(point.stage)
        assert record is not None
        if point.ticket != "dense":
            survivors, total = (sum(record["summary"][what].values()) for what in ("survivors", "total"))
            assert (survivors, total) == (point.survivors, point.total), point
        if point.mask is not None:
            assert sum(int(kept.sum()) for kept in load_mask(store.read(point.mask, "mask")).values()) == survivors


@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_one_shot_pruning_to_fractions_is_torchs(scope: str, tmp_path: Path, unheard: Listener) -> None:
    """Each fraction cuts the trained dense network anew."""
    fractions = [0.25, 0.5, 0.9]
    grid, store = made({"fractions": fractions, "method": "one-shot", "scope": scope}, tmp_path, unheard)
    dense = next(
        key for key, stage in grid.stages.items() if stage.kind == "train" and "start" not in stage.recipe.fields()
    )
    weights = load_weights(store.read(dense, "final"))
    for point in [point for point in grid.points if point.ticket == "winning"]:
        layers = {"fc1.weight": nn.Linear(64, 13), "fc2.weight": nn.Linear(13, 7)}
        for name, layer in layers.items():
            layer.weight.data.copy_(weights[name])
        amount = fractions[point.round - 1]
        if scope == "global":
            parts = [(layer, "weight") for layer in layers.values()]
            torch_prune.global_unstructured(parts, torch_prune.L1Unstructured, amount=amount)
        else:
            for layer in layers.values():
                torch_prune.l1_unstructured(layer, "weight", amount=amount)
        assert point.mask is not None
        mask = load_mask(store.read(point.mask, "mask"))
        for name, layer in layers.items():
            assert torch.equal(mask[name], layer.get_buffer("weight_mask").bool()), (point.round, name)
