"""A worker of test_parallel.py, given the globals `rank` and `folder`; leaves FOLDER/<scenario>-<size>-<rank>.pt."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from pipeline.lottery.checkpoint import Checkpoint
from pipeline.lottery.data import Images, load
from pipeline.lottery.determinism import deterministic
from pipeline.lottery.hooks import Hooks, Interrupted
from pipeline.lottery.parallel import Group
from pipeline.lottery.run import Run
from pipeline.lottery.training import Trained, train
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.training import Train

MASK = {"stage": "0" * 64, "output": "mask"}

MOMENTUM = {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2}
EVEN = {"name": "digits", "per_class": 128}  # 1,280 images: 20 whole batches
UNEVEN = {"name": "digits", "per_class": 20}  # 200 images: 3 batches of 64 and one of 8
VALIDATED = {**UNEVEN, "per_class": 24, "validation": 40}  # the same 200, and 40
NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.unused = nn.Linear(3, 3)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 300), nn.BatchNorm1d(300), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Sequential(nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, classes))

    def forward(self, images):
        return self.head(self.body(images))
"""


LATE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, 64) for _ in range(5)])
        self.auxiliary, self.never = nn.Linear(64, classes), nn.Linear(3, 3)
        self.head = nn.Linear(64, classes)

    def forward(self, images):
        hidden = images.flatten(1)
        for layer in self.layers:
            if not self.training or torch.rand(()) > 0.7:
                hidden = hidden + torch.relu(layer(hidden))
        scores = self.head(hidden)
        return (scores, self.auxiliary(hidden)) if self.training else scores
"""


def fields(group: Group, data: dict[str, Any], **changes: Any) -> dict[str, Any]:
    found = {
        "model": {"name": "lenet", "hidden": [32, 16]},
        "input": [1, 8, 8],
        "classes": 10,
        "data": data,
        "optimizer": MOMENTUM,
        "batch_size": 64,
        "iterations": 8,
        "record_every": 4,
        "seed": 0,
        "round": 1,
        **changes,
    }
    return found | ({"world_size": group.size} if group.size > 1 else {})


def recipe(group: Group, data: dict[str, Any], **changes: Any) -> Train:
    return Train.from_fields(fields(group, data, **changes))


def images(data: dict[str, Any]) -> Images:
    return load(DataSet.from_fields(data), Path())


def ticket(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"conv1.weight": (4, 1, 3, 3), "conv2.weight": (8, 4, 3, 3), "conv3.weight": (16, 8, 3, 3)}
    return {name: torch.rand(shape, generator=generator) < 0.4 for name, shape in shapes.items()}


def result(trained: Trained) -> dict[str, Any]:
    weights = {"final": trained.final, "captured": trained.captured, "early_stop": trained.early_stop}
    return {"status": trained.status, "history": trained.history, **weights}


CONVNET = {"model": {"name": "convnet", "width": 4}, "start": {"mask": MASK}, "augment": {"flip": True, "crop": 1}}


def steps(group: Group, folder: Path, **changes: Any) -> dict[str, Any]:
    """Ten steps of a sparse network with batch norm; `largest` weight that should be 0, after each of them."""
    mask = ticket()
    run = Run(recipe(group, EVEN, **CONVNET, **changes), {"mask": mask}, images(EVEN), torch.device("cpu"), None, group)
    parameters, largest = dict(run.model.named_parameters()), []
    for _ in range(10):
        run.step()
        largest.append(max(parameters[name][~kept].abs().max().item() for name, kept in mask.items()))
    statistics = {name: value.clone() for name, value in run.model.named_buffers()}
    record = run.record()
    return {"largest": largest, "weights": run.model.state_dict(), "own statistics": statistics, "record": record}


def uneven(group: Group, folder: Path) -> dict[str, Any]:
    return result(train(recipe(group, UNEVEN), {}, images(UNEVEN), capture=frozenset({0, 3}), group=group))


def adam(group: Group, folder: Path) -> dict[str, Any]:
    options = {"optimizer": {"name": "adam", "lr": 1e-2}, "channels_last": True, "precision": "bf16"}
    mask = {"mask": ticket()}
    return result(train(recipe(group, UNEVEN, **CONVNET, **options), mask, images(UNEVEN), group=group))


def untrained(group: Group, folder: Path) -> dict[str, Any]:
    """A ticket is evaluated as it is."""
    nothing = fields(group, UNEVEN, **CONVNET, iterations=0, record_every=0)
    return result(train(Train.from_fields(nothing), {"mask": ticket()}, images(UNEVEN), group=group))


def resumed(group: Group, folder: Path) -> dict[str, Any]:
    """A network that draws while it runs, whole and interrupted after 16 iterations, in the middle of a record."""
    file = folder / f"net-{group.size}.py"
    if group.leads:
        file.write_text(NET)
    group.everyone(None)
    model = {"name": "user", "class": "Net", "source": hashlib.sha256(NET.encode()).hexdigest()}
    schedule = fields(group, VALIDATED, model=model, iterations=24, record_every=5)
    kept: list[bytes] = []
    hooks = Hooks(should_stop=lambda: True, checkpoint=lambda checkpoint: kept.append(checkpoint.to_bytes()))
    given: dict[str, Any] = {
        "inputs": {},
        "images": images(VALIDATED),
        "capture": frozenset({4, 5, 10, 15, 20}),
        "early_stop": True,
    }
    given |= {"model_file": file, "group": group}
    whole = train(Train.from_fields(schedule), **given)
    try:
        train(Train.from_fields(schedule), **given, hooks=hooks)
    except Interrupted as interrupted:
        message = str(interrupted)
    data = group.decided(lambda: kept[0])
    rest = train(Train.from_fields(schedule), **given, resume=Checkpoint.from_bytes(data))
    return {"whole": result(whole), "rest": result(rest), "message": message, "handed over": len(kept)}


def late(group: Group, folder: Path) -> dict[str, Any]:
    """Stochastic depth, drawn by each worker for itself, and an auxiliary output: `first` step of each layer."""
    file = folder / "late.py"
    if group.leads:
        file.write_text(LATE)
    group.everyone(None)
    model = {"name": "user", "class": "Net", "source": hashlib.sha256(LATE.encode()).hexdigest()}
    run = Run(recipe(group, UNEVEN, model=model), {}, images(UNEVEN), torch.device("cpu"), file, group)
    start = {name: value.clone() for name, value in run.model.state_dict().items()}
    first: dict[str, int] = {}
    for step in range(8):
        run.step()
        for name, value in run.model.state_dict().items():
            if not torch.equal(value, start[name]):
                first.setdefault(name, step)
    return {"first": first, "record": run.record(), "weights": run.model.state_dict()}


def error_of(action: Callable[[], object]) -> str:
    try:
        action()
    except (RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def differing(group: Group, folder: Path) -> dict[str, Any]:
    """Ranks that derive other masks, whose weights drift apart, whose last batch cannot be shared; and divergence."""
    device, data = torch.device("cpu"), images(UNEVEN)
    sparse = fields(group, UNEVEN, **CONVNET)
    found = {
        "mask": error_of(
            lambda: Run(Train.from_fields(sparse), {"mask": ticket(group.rank)}, data, device, None, group)
        )
    }
    run = Run(Train.from_fields(sparse), {"mask": ticket()}, data, device, None, group)
    run.step()
    if not group.leads:
        with torch.no_grad():
            bias = run.model.get_parameter("head.bias")
            bias[:2] = bias[:2].flip(0).clone()  # the same numbers in another order
    found["drift"] = error_of(run.record)
    found["batch"] = error_of(lambda: train(recipe(group, UNEVEN, batch_size=199), {}, data, group=group))
    diverged = train(recipe(group, UNEVEN, optimizer={"name": "sgd", "lr": 1e30}), {}, data, group=group)
    return found | {"status": diverged.status}


SCENARIOS = {2: [steps, adam, untrained, differing, late], 3: [uneven, resumed]}


def main(rank: int, folder: Path, **_: Any) -> None:
    deterministic()
    for size, scenarios in SCENARIOS.items():
        if rank >= size:
            continue
        dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous-{size}", rank=rank, world_size=size)
        for scenario in scenarios:
            torch.save(scenario(Group(rank, size), folder), folder / f"{scenario.__name__}-{size}-{rank}.pt")
        dist.destroy_process_group()


if __name__ == "__main__":
    main(**globals())
