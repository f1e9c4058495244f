"""A small Morcos et al. experiment, written a second time in plain PyTorch, against what the pipeline stored.

The oracle shares with the pipeline the names of its random streams (`randomness.generator`) and nothing else: networks,
data, initialization, pruning (torch.nn.utils.prune with its hooks), rewinding, transfer and the loop are its own. Both
run the fused SGD and fold the normalization into one subtraction and one multiplication, as documented, so that all
comparisons but those of losses are bit for bit.
"""

# A module's attributes and some of torch's functions have no types.
# mypy: disable-error-code="no-untyped-call,operator,arg-type,no-any-return"

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from pipeline.engine.assembly import assemble
from pipeline.engine.driver import RunOptions, run
from pipeline.engine.store import Store
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid, Point
from pipeline.experiment.loading import load
from pipeline.lottery.randomness import generator
from pipeline.lottery.tensor_files import load_mask, load_weights

State = dict[str, Tensor]

SEED, ROUNDS, RATE = 3, 3, 0.4
BATCH, EPOCHS, DECAY_EPOCH = 64, 3, 2
LR, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 1e-3
KINDS = '{"mask":"permuted-globally","weights":"redrawn"}'


class Lenet(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.fc1, self.fc2, self.head = nn.Linear(64, 24), nn.Linear(24, 16), nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class Convnet(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv3, self.bn3 = nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.head = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2, ceil_mode=True)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2, ceil_mode=True)
        x = F.relu(self.bn3(self.conv3(x)))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Digits:
    """Some classes of scikit-learn's digits, relabelled; every fifth image of a class is for testing."""

    def __init__(self, classes: list[int], channels: int) -> None:
        loaded = load_digits()
        pixels = torch.tensor((loaded.images * 255 / 16).round(), dtype=torch.float32).unsqueeze(1)
        labels, seen = torch.tensor(loaded.target), dict.fromkeys(range(10), 0)
        training: list[int] = []
        testing: list[int] = []
        for index, label in enumerate(labels.tolist()):
            if label in classes:
                (testing if seen[label] % 5 == 4 else training).append(index)
            seen[label] += 1
        mean = (pixels[training].double() / 255).mean()
        std = (pixels[training].double() / 255).std(unbiased=False)
        offset, scale = (255 * mean.float().double()).float(), (1 / (255 * std.float().double())).float()
        # grey is repeated, each pixel at its place
        normal = torch.cat([(pixels - offset) * scale] * channels, dim=1)
        self.classes = len(classes)
        self.x, self.test_x = normal[training], normal[testing]
        self.y, self.test_y = (
            torch.tensor([classes.index(label) for label in labels[part].tolist()]) for part in (training, testing)
        )
        fields = {"classes": classes, "name": "digits"} | ({"channels": channels} if channels > 1 else {})
        self.name = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        self.per_epoch = -(-len(self.y) // BATCH)


def prunable(model: nn.Module) -> dict[str, nn.Module]:
    return {n: m for n, m in model.named_children() if isinstance(m, nn.Linear | nn.Conv2d) and n != "head"}


def xavier(model: nn.Module, *stream: str | int) -> None:
    for name, module in model.named_children():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_normal_(module.weight, generator=generator(*stream, name))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def state_of(model: nn.Module) -> State:
    """The state of the pruned network: what torch's hooks multiply together, under the ordinary names."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    masks = {name.removesuffix("_mask"): state.pop(name) for name in list(state) if name.endswith("_mask")}
    plain = {name.removesuffix("_orig"): value for name, value in state.items()}
    return {name: value * masks[name] if name in masks else value for name, value in plain.items()}


def put(model: nn.Module, weights: Mapping[str, Tensor], without_head: bool = False) -> None:
    """Values into a network, pruned or not; the hooks' masks stay."""
    with torch.no_grad():
        for name, value in model.state_dict(keep_vars=True).items():
            plain = name.removesuffix("_orig")
            if not (name.endswith("_mask") or (without_head and plain.startswith("head."))):
                value.copy_(weights[plain])


def cut(model: nn.Module, mask: Mapping[str, Tensor]) -> None:
    for name, module in prunable(model).items():
        torch_prune.custom_from_mask(module, "weight", mask[f"{name}.weight"])


def mask_of(model: nn.Module) -> State:
    return {f"{name}.weight": module.weight_mask.bool() for name, module in prunable(model).items()}


def fit(model: nn.Module, data: Digits, number: int, rewind: int) -> tuple[State, float]:
    """Train on `data` as round `number`; the weights after `rewind` iterations, and the final test accuracy."""
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, fused=True)
    rewound: State = state_of(model)
    iteration = 0
    for epoch in range(EPOCHS):
        for group in optimizer.param_groups:
            group["lr"] = LR * 0.1 if epoch >= DECAY_EPOCH else LR
        order = torch.randperm(len(data.y), generator=generator("order", SEED, data.name, number, epoch))
        for batch in order.split(BATCH):
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(data.x[batch]), data.y[batch]).backward()
            optimizer.step()
            iteration += 1
            if iteration == rewind:
                rewound = state_of(model)
    model.eval()
    with torch.no_grad():
        right = model(data.test_x).argmax(1) == data.test_y
    return rewound, right.double().mean().item()


class Oracle:
    """The experiment on one seed: `results[source, target, ticket, round]` = (mask, start, final, test accuracy)."""

    def __init__(self, make: Callable[[int], nn.Module], model_fields: dict[str, Any], data: dict[str, Digits], k: int):
        self.make, self.k = make, k
        self.model_id = json.dumps(model_fields, sort_keys=True, separators=(",", ":"))
        self.results: dict[tuple[str, str, str, int], tuple[State, State, State, float]] = {}
        self.rewound: dict[str, State] = {}
        for name, source in data.items():
            self.chain(name, source, {n: d for n, d in data.items() if n != name})
        for name, target in data.items():
            model = self.fresh(target)
            self.train("any", name, target, "dense", 0, model)
            for number in range(1, ROUNDS + 1):
                self.random(name, target, number)

    def fresh(self, data: Digits) -> nn.Module:
        model = self.make(data.classes)
        xavier(model, "init", SEED, self.model_id)
        return model

    def train(self, source: str, name: str, data: Digits, ticket: str, number: int, model: nn.Module) -> State:
        start, mask = state_of(model), mask_of(model) if number else {}
        rewound, accuracy = fit(model, data, number, self.k)
        self.results[source, name, ticket, number] = mask, start, state_of(model), accuracy
        return rewound

    def chain(self, name: str, source: Digits, others: dict[str, Digits]) -> None:
        model = self.fresh(source)
        rewound, _ = fit(model, source, 0, self.k)
        self.rewound[name] = rewound
        for number in range(1, ROUNDS + 1):
            layers = [(module, "weight") for module in prunable(model).values()]
            torch_prune.global_unstructured(layers, torch_prune.L1Unstructured, amount=RATE)
            mask = mask_of(model)
            put(model, rewound)
            for other, target in others.items():
                moved = self.fresh(target)
                put(moved, rewound, without_head=True)
                cut(moved, mask)
                self.train(name, other, target, "winning", number, moved)
            self.train(name, name, source, "winning", number, model)

    def random(self, name: str, target: Digits, number: int) -> None:
        model = self.fresh(target)
        shapes = {layer: module.weight.shape for layer, module in prunable(model).items()}
        survivors = total = sum(shape.numel() for shape in shapes.values())  # type: ignore[misc]  # numel has no types
        for _ in range(number):
            survivors -= round(RATE * survivors)
        stream = ("control", SEED, self.model_id, survivors, number, KINDS)
        drawn = self.make(target.classes)
        xavier(drawn, *stream, "weights")
        flat = torch.zeros(total, dtype=torch.bool)
        flat[torch.randperm(total, generator=generator(*stream, "mask"))[:survivors]] = True
        parts = flat.split([shape.numel() for shape in shapes.values()])
        for (layer, module), part in zip(prunable(model).items(), parts, strict=True):
            module.weight.data.copy_(drawn.get_submodule(layer).weight.data)
            torch_prune.custom_from_mask(module, "weight", part.view(shapes[layer]))
        self.train("any", name, target, "random", number, model)


class Silent:
    def planned(self, *_: object) -> None: ...
    def followed(self, *_: object) -> None: ...
    def said(self, message: str) -> None:
        raise AssertionError(message)


def stored(folder: Path, model: str, classes: dict[str, list[int]], rewind: int) -> tuple[Grid, Store]:
    """The same experiment by the pipeline, everything kept."""
    text = {
        "name": "oracle",
        "model": model,
        "seeds": [SEED],
        "training": {
            "optimizer": {"name": "sgd", "lr": LR, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY},
            "batch_size": BATCH,
            "length": f"{EPOCHS}ep",
            "lr_decay": {"at": [f"{DECAY_EPOCH}ep"], "factor": 0.1},
            "augment": "none",
        },
        "prune": {"rate": RATE, "rounds": ROUNDS, "rewind": f"{rewind}it"},
        "sources": [{"name": n, "dataset": {"name": "digits", "classes": c}} for n, c in classes.items()],
        "targets": "same",
        "retention": {"chains": "weights", "evaluations": "weights"},
    }
    file = folder / "grid.yaml"
    file.write_text(yaml.safe_dump(text))
    grid, store = expand(load(file), folder), folder / "store"
    summary = run(grid, RunOptions(str(store), folder, local=True), Silent())
    assert summary.exit_code == 0
    return grid, Store(str(store))


def assert_bits(ours: Mapping[str, Tensor], oracle: Mapping[str, Tensor], what: object) -> None:
    assert set(ours) == set(oracle), what
    for name, value in oracle.items():
        assert torch.equal(ours[name], value), (what, name)


def name_of(point: Point) -> tuple[str, str, str, int]:
    return point.source, point.target, point.ticket, point.round


CASES = {
    # equal numbers of classes: the head must be redrawn although it would fit
    "lenet": ("lenet-24-16", {"name": "lenet", "hidden": [24, 16]}, Lenet, 1, [[0, 1, 2, 3, 4], [9, 5, 8, 6, 7]], 5),
    # rewound into the second epoch; heads of different sizes, running statistics that travel
    "convnet": ("convnet-4", {"name": "convnet", "width": 4}, Convnet, 3, [[0, 1, 2], [3, 4, 5, 6, 7]], 9),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_pipeline_equals_a_second_implementation_bit_for_bit(case: Any, tmp_path: Path) -> None:
    model, fields, make, channels, (first, second), rewind = case
    grid, store = stored(tmp_path, model, {"first": first, "second": second}, rewind)
    data = {"first": Digits(first, channels), "second": Digits(second, channels)}
    oracle = Oracle(make, fields, data, rewind)

    assert sorted(map(name_of, grid.points)) == sorted(oracle.results)  # dense and random once, from any source
    for point in grid.points:
        mask, start, final, accuracy = oracle.results[name_of(point)]
        if point.mask is not None:
            assert_bits(load_mask(store.read(point.mask, "mask")), mask, (point, "mask"))
        ticket = assemble(grid, point, store)
        assert_bits(ticket.mask, mask, (point, "mask of the start"))
        assert_bits(ticket.weights, start, (point, "start"))
        assert_bits(load_weights(store.read(point.stage, "final")), final, (point, "final"))
        record = store.record(point.stage)
        assert record is not None and record["summary"]["test_accuracy"] == pytest.approx(accuracy, abs=1e-12)
        survivors = sum(int(kept.sum()) for kept in mask.values()) if mask else point.total
        assert (point.survivors, point.fraction_pruned) == (survivors, 1 - survivors / point.total)
    for name, rewound in oracle.rewound.items():
        keys = [
            key
            for key, stage in grid.stages.items()
            if stage.kind == "train"
            and "start" not in stage.recipe.fields()
            and stage.recipe.fields()["data"] == json.loads(data[name].name)
        ]
        assert_bits(load_weights(store.read(keys[0], f"it{rewind}")), rewound, (name, "rewind point"))
