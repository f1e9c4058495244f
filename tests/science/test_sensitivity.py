"""One layer is pruned alone and evaluated as it is: what is stored against torch's own pruning of that layer."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from pipeline.engine.assembly import assemble
from pipeline.engine.driver import RunOptions, run
from pipeline.engine.store import Store
from pipeline.engine.store.records import Record
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid, Point
from pipeline.experiment.loading import load
from pipeline.lottery.data import load as load_images
from pipeline.lottery.models import build
from pipeline.lottery.normalization import Normalization
from pipeline.lottery.tensor_files import load_mask, load_weights
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.models import model_from

SEED = 3
FRACTIONS = [0.5, 0.9]
SIZES = {"conv1": 4 * 3 * 9, "conv2": 8 * 4 * 9, "head": 10 * 16}
DIGITS = {"name": "digits"}
GRID: dict[str, Any] = {
    "name": "sensitivity",
    "model": "convnet-4",
    "seeds": [SEED],
    "training": {
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-3},
        "batch_size": 64,
        "length": "2ep",
        "lr_decay": {"at": ["1ep"]},
        "augment": {"flip": True},
    },
    "prune": {
        "method": "one-shot",
        "fractions": FRACTIONS,
        "prune_output": True,
        "rewind": "1ep",
        "evaluate": [0, 1, 2],
    },
    "sources": [{"dataset": "digits", "grid": {"prune.only": ["conv1", "conv2", "head"]}}],
    "targets": [
        {"name": "as-is", "dataset": "digits", "training": {"length": "0it"}},
        {"name": "trained", "dataset": "digits", "training": {"length": "1ep10it"}},
    ],
    "tickets": [
        {"name": "pruned", "start": "trained"},
        {"name": "winning"},
        {"name": "random", "mask": "permuted-globally"},
        {"name": "shuffled", "mask": "permuted-within-layers", "weights": "shuffled"},
    ],
    "retention": {"chains": "weights", "evaluations": "weights"},
}


@dataclass(frozen=True)
class Ran:
    grid: Grid
    store: Store

    def points(self, target: str, ticket: str, number: int) -> list[tuple[str, Point]]:
        """By the name of the layer that is pruned."""
        return [
            (point.source.partition("only=")[2], point)
            for point in self.grid.points
            if (point.target, point.ticket, point.round) == (target, ticket, number)
        ]

    def final(self, key: str) -> dict[str, Tensor]:
        return load_weights(self.store.read(key, "final"))

    def mask(self, point: Point) -> dict[str, Tensor]:
        assert point.mask is not None
        return load_mask(self.store.read(point.mask, "mask"))

    @property
    def dense(self) -> str:
        """The one training that all of the sources share."""
        (key,) = [key for key, stage in self.grid.stages.items() if self.grid.roles[key] == "chain"]
        return key

    def record(self, key: str) -> Record:
        record = self.store.record(key)
        assert record is not None
        return record


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, unheard: Any) -> Ran:
    folder = tmp_path_factory.mktemp("sensitivity")
    (folder / "grid.yaml").write_text(yaml.safe_dump(GRID))
    grid = expand(load(folder / "grid.yaml"), folder)
    assert run(grid, RunOptions(str(folder / "store"), folder, local=True), unheard).exit_code == 0
    return Ran(grid, Store(str(folder / "store")))


def test_all_layers_share_one_dense_training(ran: Ran) -> None:
    trained = {stage.inputs["trained"].stage for stage in ran.grid.stages.values() if stage.kind == "prune"}
    assert trained == {ran.dense}
    as_is = {point.stage for _, point in ran.points("as-is", "pruned", 0)}
    assert len(as_is) == 1
    assert {point.stage for _, point in ran.points("as-is", "dense", 0)} == as_is


@pytest.mark.parametrize("number", [1, 2])
def test_the_mask_is_torchs_own_of_that_layer_and_every_other_weight_stays_as_it_was_trained(
    ran: Ran, number: int
) -> None:
    trained = ran.final(ran.dense)
    points = ran.points("as-is", "pruned", number)
    assert [layer for layer, _ in points] == list(SIZES)
    for layer, point in points:
        pruned = round(FRACTIONS[number - 1] * SIZES[layer])
        module = nn.Module()
        module.register_parameter("weight", nn.Parameter(trained[f"{layer}.weight"].clone()))
        torch_prune.l1_unstructured(module, "weight", amount=pruned)
        kept = module.get_buffer("weight_mask").bool()
        expected = trained | {f"{layer}.weight": module.get_parameter("weight_orig").detach() * kept}

        mask = ran.mask(point)
        assert list(mask) == [f"{layer}.weight"]
        assert torch.equal(mask[f"{layer}.weight"], kept)
        assert (point.survivors, point.total) == (SIZES[layer] - pruned, SIZES[layer])
        for name, value in ran.final(point.stage).items():
            assert torch.equal(value, expected[name]), (layer, name)


def test_a_rewound_ticket_starts_with_all_weights_of_the_other_layers_and_trains_them(ran: Ran) -> None:
    rewound = load_weights(ran.store.read(ran.dense, "it23"))
    for layer, point in ran.points("trained", "winning", 2):
        name = f"{layer}.weight"
        ticket, final = assemble(ran.grid, point, ran.store), ran.final(point.stage)
        mask = ran.mask(point)[name]
        assert list(ticket.mask) == [name] and torch.equal(ticket.mask[name], mask)
        assert ticket.fraction_pruned == pytest.approx(0.9, abs=0.01)
        for other, value in rewound.items():
            assert torch.equal(ticket.weights[other], value * mask if other == name else value), other
        assert not final[name][~mask].any() and final[name][mask].all()
        others = [f"{one}.weight" for one in ("conv1", "conv2", "conv3", "head") if one != layer]
        assert all(final[one].all() and not torch.equal(final[one], rewound[one]) for one in others)


@pytest.mark.parametrize("control", ["random", "shuffled"])
def test_controls_move_weights_within_the_chosen_layer_only(ran: Ran, control: str) -> None:
    rewound = load_weights(ran.store.read(ran.dense, "it23"))
    for layer, point in ran.points("trained", control, 2):
        name = f"{layer}.weight"
        ticket = assemble(ran.grid, point, ran.store)
        (winning,) = [one for of, one in ran.points("trained", "winning", 2) if of == layer]
        mask = ran.mask(winning)[name]
        assert list(ticket.mask) == [name]
        assert int(ticket.mask[name].sum()) == point.survivors == int(mask.sum())
        assert not torch.equal(ticket.mask[name], mask)
        for other in ("conv1.weight", "conv2.weight", "conv3.weight", "head.weight"):
            if other != name:
                assert ticket.weights[other].all()
                assert torch.equal(ticket.weights[other], rewound[other]) == (control == "shuffled")
        if control == "shuffled":
            kept = ticket.weights[name][ticket.mask[name]]
            assert torch.equal(kept.sort().values, rewound[name][mask].sort().values)


def test_an_evaluation_without_training_is_that_of_the_weights_by_hand(ran: Ran) -> None:
    images = load_images(DataSet("digits", channels=3), Path())
    normalize = Normalization(images.mean, images.std, torch.device("cpu"), False)
    model = build(model_from({"name": "convnet", "width": 4}), [3, 8, 8], 10).eval()
    accuracies = set()
    for ticket in ("pruned", "winning", "random"):
        for _, point in ran.points("as-is", ticket, 1):
            model.load_state_dict(assemble(ran.grid, point, ran.store).weights)
            assert isinstance(images.test_x, Tensor)
            with torch.no_grad():
                outputs = model(normalize(images.test_x))
            summary = ran.record(point.stage)["summary"]
            right = outputs.argmax(1) == images.test_y
            assert summary["test_accuracy"] == pytest.approx(right.double().mean().item(), abs=1e-12)
            assert summary["test_loss"] == pytest.approx(F.cross_entropy(outputs, images.test_y).item(), rel=1e-5)
            accuracies.add(summary["test_accuracy"])
    assert len(accuracies) > 4


def test_it_is_one_record_without_metrics_of_training(ran: Ran) -> None:
    for layer, point in ran.points("as-is", "pruned", 2):
        record = ran.record(point.stage)
        (entry,) = json.loads(ran.store.read(point.stage, "history"))
        assert record["status"] == "ok"
        assert {name: value for name, value in entry.items() if not name.startswith("test")} == {
            "iteration": 0,
            "epoch": 0,
            "train_loss": None,
            "train_accuracy": None,
            "lr": None,
        }
        survivors = {f"{layer}.weight": point.survivors}
        assert record["summary"]["survivors"] == survivors and record["summary"]["iterations"] == 0
        assert record["summary"]["total"] == {f"{layer}.weight": point.total}


@pytest.mark.parametrize(
    "common",
    [{"lr_decay": None}, {"lr_decay": {"at": ["30it"]}}, {"augment": "none"}, {"after_rewind": "remainder"}],
    ids=str,
)
def test_what_is_about_training_is_of_no_account_where_nothing_is_trained(
    ran: Ran, common: dict[str, Any], tmp_path: Path
) -> None:
    target = GRID["targets"][0]
    document = GRID | {"targets": [target | {"training": target["training"] | common}]}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(document))
    expected = {point.stage for point in ran.grid.points if point.target == "as-is"}
    assert {point.stage for point in expand(load(tmp_path / "grid.yaml"), tmp_path).points} == expected
