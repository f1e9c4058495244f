"""Included parameters (`prune.include`) are pruned, kept at 0, rewound, permuted and redrawn like any other weight."""

import hashlib
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.utils.prune as torch_prune
import yaml
from torch import Tensor, nn

from pipeline import Ticket
from pipeline.engine.assembly import assemble
from pipeline.engine.driver import Listener, RunOptions, run
from pipeline.engine.store import Store
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load as load_grid
from pipeline.lottery import models
from pipeline.lottery.data import Images, load
from pipeline.lottery.layers import counted
from pipeline.lottery.tensor_files import load_mask, load_weights
from pipeline.lottery.training import train
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.layers import MaskedLayers
from pipeline.recipes.models import model_from
from pipeline.recipes.training import Train

MASK = {"stage": "0" * 64, "output": "mask"}

MODELS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.embedding = nn.Linear(8, 16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.up = nn.ConvTranspose1d(8, 4, 1)
        self.head = nn.Linear(16, classes)

    def initialize(self, generator):
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.2, generator=generator)

    def forward(self, x):
        rows = self.embedding(x.squeeze(1))
        return self.head(self.up(self.attention(rows, rows, rows)[0]).mean(1))
"""
FIELDS: dict[str, Any] = {
    "model": {"name": "user", "class": "Net", "source": hashlib.sha256(MODELS.encode()).hexdigest()},
    "input": [1, 8, 8],
    "classes": 10,
    "data": {"name": "digits"},
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    "batch_size": 64,
    "iterations": 5,
    "record_every": 5,
    "seed": 0,
    "round": 1,
}
INCLUDED = ["attention.in_proj_weight", "up.weight"]
LAYERS = ["embedding.weight", "attention.out_proj.weight", *INCLUDED]


@pytest.fixture(scope="module")
def images() -> Images:
    return load(DataSet("digits"), Path())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("models") / "models.py"
    file.write_text(MODELS)
    return file


def masks(file: Path) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    model = models.build(model_from(FIELDS["model"]), (1, 8, 8), 10, file)
    return {name: torch.rand(model.get_parameter(name).shape, generator=generator) < 0.3 for name in LAYERS}


@pytest.mark.parametrize(
    ("mask", "weights"),
    itertools.product(["preserved", "permuted-within-layers", "permuted-globally"], ["kept", "redrawn", "shuffled"]),
)
def test_controls_move_and_redraw_included_parameters_too(mask: str, weights: str, images: Images, file: Path) -> None:
    given = masks(file)
    start = {"included": INCLUDED, "mask": MASK, "control": {"mask": mask, "weights": weights}}
    trained = train(
        Train.from_fields(FIELDS | {"start": start}),
        {"mask": given},
        images,
        model_file=file,
        capture=frozenset({0, 5}),
    )
    model = models.build(model_from(FIELDS["model"]), (1, 8, 8), 10, file)
    models.initialize(model, 0, model_from(FIELDS["model"]))
    fresh = model.state_dict()
    first, last = trained.captured[0], trained.captured[5]
    survivors = {name: first[name] != 0 for name in LAYERS}
    assert trained.summary["survivors"] == {name: int(kept.sum()) for name, kept in survivors.items()}
    assert sum(trained.summary["survivors"].values()) == sum(int(kept.sum()) for kept in given.values())
    for name in INCLUDED:
        assert not last[name][~survivors[name]].any() and last[name][survivors[name]].all()
        assert torch.equal(survivors[name], given[name]) == (mask == "preserved")
        assert torch.equal(first[name], fresh[name] * survivors[name]) == (weights == "kept")
    assert torch.equal(first["head.weight"], fresh["head.weight"])


def test_without_a_mask_of_them_they_are_whole_and_a_mask_of_others_is_refused(images: Images, file: Path) -> None:
    given = masks(file)
    hidden = {name: given[name] for name in LAYERS[:2]}
    trained = train(Train.from_fields(FIELDS | {"start": {"mask": MASK}}), {"mask": hidden}, images, model_file=file)
    assert trained.final is not None and all(trained.final[name].all() for name in INCLUDED)
    with pytest.raises(ValueError, match="The mask must cover these weights"):
        train(
            Train.from_fields(FIELDS | {"start": {"mask": MASK, "included": INCLUDED}}),
            {"mask": hidden},
            images,
            model_file=file,
        )
    with pytest.raises(ValueError, match=r"up\.wight is no parameter of this Net"):
        train(
            Train.from_fields(FIELDS | {"start": {"mask": MASK, "included": ["up.wight"]}}),
            {"mask": hidden},
            images,
            model_file=file,
        )


def test_frozen_features_keep_included_parameters_as_they_are(images: Images, file: Path) -> None:
    given = masks(file)
    start = {"included": INCLUDED, "mask": MASK}
    trained = train(
        Train.from_fields(FIELDS | {"start": start, "frozen": "features"}),
        {"mask": given},
        images,
        model_file=file,
        capture=frozenset({0, 5}),
    )
    for name in LAYERS:
        assert torch.equal(trained.captured[0][name], trained.captured[5][name])
        assert not trained.captured[5][name][~given[name]].any()


GRID: dict[str, Any] = {
    "name": "included",
    "model": "./models.py:Net",
    "seeds": [0],
    "training": {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}, "batch_size": 64, "length": "20it"},
    "prune": {"rate": 0.5, "rounds": 2, "rewind": "5it", "include": INCLUDED},
    "sources": [{"name": "low", "dataset": {"name": "digits", "classes": [0, 1, 2, 3, 4]}}],
    "targets": [{"name": "high", "dataset": {"name": "digits", "classes": [5, 6, 7, 8]}}],
    "tickets": ["winning", "random"],
    "retention": {"chains": "weights", "evaluations": "weights"},
}


@pytest.fixture(scope="module")
def finished(file: Path, unheard: Listener) -> tuple[Grid, Store]:
    path = file.with_name("grid.yaml")
    path.write_text(yaml.safe_dump(GRID))
    grid = expand(load_grid(path), file.parent)
    store = str(file.with_name("store"))
    assert run(grid, RunOptions(store, file.parent, local=True), unheard).exit_code == 0
    return grid, Store(store)


def test_a_chain_prunes_and_rewinds_them_as_torchs_own_pruning_does(finished: tuple[Grid, Store], file: Path) -> None:
    grid, store = finished
    trainings = {
        stage.recipe.fields()["round"]: stage
        for key, stage in grid.stages.items()
        if stage.kind == "train" and grid.roles[key] == "chain"
    }
    before: dict[str, Tensor] = {}
    for number in (1, 2):
        pruning = next(s for s in grid.stages.values() if s.kind == "prune" and s.label.endswith(f"prune {number}"))
        trained = load_weights(store.read(trainings[number - 1].key, "final"))
        model = models.build(model_from(FIELDS["model"]), (1, 8, 8), 5, file)
        model.load_state_dict(trained)
        pairs = [(model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in LAYERS]
        for (module, leaf), name in zip(pairs, LAYERS, strict=True):
            torch_prune.custom_from_mask(module, leaf, before.get(name, torch.ones_like(trained[name])))
        torch_prune.global_unstructured(pairs, pruning_method=torch_prune.L1Unstructured, amount=0.5)
        before = {
            name: getattr(module, f"{leaf}_mask").bool() for (module, leaf), name in zip(pairs, LAYERS, strict=True)
        }
        mask = load_mask(store.read(pruning.key, "mask"))
        assert list(mask) == LAYERS and all(torch.equal(mask[name], before[name]) for name in LAYERS)
    rewound = load_weights(store.read(trainings[0].key, "it5"))
    point = next(p for p in grid.points if p.ticket == "winning" and p.round == 2)
    ticket = assemble(grid, point, store)
    final = load_weights(store.read(point.stage, "final"))
    for name in LAYERS:
        assert torch.equal(ticket.mask[name], before[name])
        assert torch.equal(ticket.weights[name], rewound[name] * before[name])
        assert not final[name][~before[name]].any()
    assert torch.equal(ticket.weights["up.bias"], rewound["up.bias"])


def test_a_ticket_of_them_goes_through_its_file_into_a_model(
    finished: tuple[Grid, Store], file: Path, tmp_path: Path
) -> None:
    grid, store = finished
    point = next(p for p in grid.points if p.ticket == "winning" and p.round == 2)
    assemble(grid, point, store).save(tmp_path / "ticket.safetensors")
    ticket = Ticket.load(tmp_path / "ticket.safetensors")
    assert ticket.fraction_pruned == pytest.approx(0.75, abs=0.001)
    model = models.build(model_from(FIELDS["model"]), (1, 8, 8), 7, file)
    ticket.apply(model)
    optimizer = torch.optim.AdamW(model.parameters())
    nn.functional.cross_entropy(model(torch.randn(4, 1, 8, 8)), torch.arange(4)).backward()
    optimizer.step()
    assert all(not model.get_parameter(name)[~kept].any() for name, kept in ticket.mask.items())
    assert list(counted(model, MaskedLayers(included=tuple(INCLUDED)))) == LAYERS


def test_the_report_says_what_no_mask_covers(file: Path, tmp_path: Path) -> None:
    from pipeline.report.page.rendering import render
    from pipeline.report.report import gather

    path = file.with_name("without.yaml")
    path.write_text(yaml.safe_dump(GRID | {"prune": GRID["prune"] | {"include": None}}))
    grid = expand(load_grid(path), file.parent)
    store = Store(str(tmp_path / "store"))
    page = render(gather(grid, store, store.snapshot()))
    (note,) = (note for note in grid.notes if "no mask" in note)
    assert "of the weights of Net (800 of 1,264) are in no mask: attention.in_proj_weight, up.weight." in note
    assert note.replace("&", "&amp;") in page
