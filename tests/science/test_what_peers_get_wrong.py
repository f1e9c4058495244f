"""One test for each thing that published lottery-ticket code gets wrong. Those that are proved elsewhere:

| what goes wrong | proved by |
|---|---|
| rewound weights are a reference and train along | lottery/test_transfer.py::test_rewound_weights_are_copies_and_do_not_train_along, lottery/test_training.py::test_the_weights_of_a_ticket_are_not_trained_along |
| weights at step k are not those of step k | lottery/test_training.py::test_captured_weights_are_those_after_so_many_steps_bit_for_bit, science/test_oracle.py |
| momentum or weight decay moves pruned weights | lottery/test_training.py::test_pruned_weights_are_zero_at_every_step, lottery/test_ticket.py::test_pruned_weights_are_zero_after_every_step |
| batch norm weights pruned by name, biases too | lottery/test_pruning.py::test_batch_norm_and_biases_are_never_prunable |
| grey images reshaped to three channels by `view` | lottery/test_data.py::test_grey_is_repeated_to_three_channels_pixel_by_pixel |
| `model.eval()` never switched back | lottery/test_training.py::test_evaluation_leaves_the_model_in_the_mode_and_state_it_found |
| a head of the wrong size is kept | lottery/test_transfer.py::test_a_head_of_the_wrong_size_is_never_kept |
| `shuffle()` that shuffles nothing | lottery/test_controls.py::test_shuffling_shuffles, lottery/test_training.py::test_an_epoch_shows_every_image_once_in_an_order_of_its_own |

The others are here: ranks that draw different masks, seeds set too late, transfer that prunes again on the target,
folders taken for results, truncated checkpoints, an output layer pruned in one code path only.
"""  # noqa: E501 - names that can be searched for

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pipeline.engine.driver import Listener, RunOptions, run
from pipeline.engine.store import Store
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load
from pipeline.experiment.planning import plan
from pipeline.lottery import data
from pipeline.lottery.checkpoint import Checkpoint
from pipeline.lottery.hooks import Hooks
from pipeline.lottery.models import build
from pipeline.lottery.tensor_files import load_mask, load_weights
from pipeline.lottery.training import train
from pipeline.lottery.transfer import starting_point
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.models import model_from
from pipeline.recipes.training import Train

MASK = {"stage": "0" * 64, "output": "mask"}
REWOUND = {"stage": "0" * 64, "output": "it0"}

MASKS = ("preserved", "permuted-within-layers", "permuted-globally")
WEIGHTS = ("kept", "redrawn", "shuffled")
CONTROLS = [
    {"name": f"{mask}-{weights}", "mask": mask, "weights": weights} for mask, weights in product(MASKS, WEIGHTS)
]
GRID: dict[str, Any] = {
    "name": "peers",
    "model": "lenet-16-8",
    "seeds": [0],
    "training": {"optimizer": {"name": "sgd", "lr": 0.1}, "batch_size": 64, "length": "1ep"},
    "prune": {"rate": 0.5, "rounds": 2, "rewind": "2it"},
    "sources": [
        {"name": "low", "dataset": {"name": "digits", "classes": [0, 1, 2, 3, 4]}},
        {"name": "high", "dataset": {"name": "digits", "classes": [5, 6, 7, 8, 9]}},
    ],
    "tickets": ["winning", "random"],
}


def grid_of(folder: Path, **changes: Any) -> Grid:
    file = folder / "grid.yaml"
    file.write_text(yaml.safe_dump(GRID | changes))
    return expand(load(file), folder)


def run_into(grid: Grid, folder: Path, unheard: Listener) -> Store:
    assert run(grid, RunOptions(str(folder), folder, local=True), unheard).exit_code == 0
    return Store(str(folder))


def outputs(store: Store, grid: Grid) -> dict[tuple[str, str], str]:
    """SHA-256 of everything that a grid keeps."""
    return {
        (key, name): store.snapshot().record(key)["outputs"][name]["sha256"]  # type: ignore[index]  # every stage is done
        for key, names in grid.keep.items()
        for name in names
    }


def ancestors(grid: Grid, key: str) -> Iterator[str]:
    for read in grid.stages[key].inputs.values():
        yield read.stage
        yield from ancestors(grid, read.stage)


@pytest.mark.parametrize("control", [None, *CONTROLS], ids=lambda control: control["name"] if control else "winning")
def test_every_rank_has_the_same_mask_and_weights(control: dict[str, str] | None) -> None:
    """What a process has drawn before, or was seeded with, decides nothing: a mask is an input, a draw has a name."""
    fields: dict[str, Any] = {
        **{"model": {"name": "lenet", "hidden": [16, 8]}, "input": [1, 8, 8], "classes": 5, "seed": 0, "round": 2},
        **{"data": {"name": "digits"}, "optimizer": {"name": "sgd", "lr": 0.1}},
        **{"batch_size": 8, "iterations": 1, "record_every": 1},
    }
    shapes = {"fc1.weight": (16, 64), "fc2.weight": (8, 16)}
    generator = torch.Generator().manual_seed(5)
    inputs = {
        "mask": {name: torch.rand(shape, generator=generator) < 0.3 for name, shape in shapes.items()},
        "weights": {
            n: torch.ones_like(v) for n, v in build(model_from(fields["model"]), [1, 8, 8], 5).state_dict().items()
        },
    }
    start: dict[str, Any] = {"mask": MASK, "weights": REWOUND}
    if control:
        start["control"] = {kind: control[kind] for kind in ("mask", "weights")}
    ranks = []
    for rank in range(2):
        torch.manual_seed(rank)
        torch.rand(rank)
        model = build(model_from(fields["model"]), [1, 8, 8], 5)
        mask = starting_point(model, Train.from_fields({**fields, "start": start}), inputs)
        ranks.append({**model.state_dict(), **{f"mask of {name}": kept for name, kept in mask.items()}})
    one, other = ranks
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_seed_decides_the_initialization_and_nothing_drawn_before_does(tmp_path: Path) -> None:
    """Seeds set after the model is built leave every "replicate" with weights that no seed controls."""
    grid = grid_of(tmp_path, seeds=[0, 1])
    images = data.load(DataSet("digits", classes=(0, 1, 2, 3, 4)), tmp_path)
    started = []
    for point in [p for p in grid.points if p.ticket == "dense" and p.target == "low"]:
        repeated = []
        for before in (1, 2):
            torch.manual_seed(before)
            repeated.append(train(grid.stages[point.stage].training, {}, images, capture={0}).captured[0])
        assert all(torch.equal(repeated[0][name], repeated[1][name]) for name in repeated[0])
        started.append(repeated[0])
    for name in ("fc1.weight", "fc2.weight", "head.weight"):
        assert not torch.isclose(started[0][name], started[1][name], rtol=1e-3).any(), name


@pytest.mark.parametrize("rewind", ["0it", "2it", "final", "none"])
def test_the_mask_travels_and_nothing_is_pruned_on_the_target(rewind: str, tmp_path: Path) -> None:
    grid = grid_of(tmp_path, prune={"rate": 0.5, "rounds": 2, "rewind": rewind}, tickets=["winning", *CONTROLS])
    data_of = {source.name: source.dataset.classes for source in grid.spec.sources}
    moved = [point for point in grid.points if point.mask is not None and point.source != point.target]
    assert len(moved) == 2 * 2 * 9  # directions, rounds; winning and nine controls, of which one needs no mask
    for point in moved:
        stage = grid.stages[point.stage]
        assert stage.inputs["mask"].stage == point.mask
        behind = [grid.stages[key] for key in ancestors(grid, point.stage)]
        trained = {one.training.configuration.data.classes for one in behind if one.kind == "train"}
        assert trained == {data_of[point.source]}
        assert stage.training.configuration.data.classes == data_of[point.target]


def test_a_folder_that_exists_is_not_a_result(tmp_path: Path) -> None:
    grid = grid_of(tmp_path)
    store = tmp_path / "store"
    for key in grid.stages:
        (store / "outputs" / key).mkdir(parents=True)
        (store / "checkpoints" / key).mkdir(parents=True)
        (store / "outputs" / key / "final.safetensors").write_bytes(b"")
    half = list(grid.stages)[: len(grid.stages) // 2]
    for key in grid.stages:
        record = store / "done" / f"{key}.json"
        if key in half:
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_bytes(b"")
        else:
            record.mkdir(parents=True)
    assert set(plan(grid, Store(str(store)).snapshot()).to_run) == set(
        plan(grid, Store(str(tmp_path / "e")).snapshot()).to_run
    )


def test_a_truncated_checkpoint_is_not_loaded(tmp_path: Path, unheard: Listener) -> None:
    """The furthest whole one is: the result is that of an uninterrupted run, and the damaged file is passed over."""
    grid = grid_of(tmp_path)
    whole = run_into(grid, tmp_path / "whole", unheard)
    stage = next(stage for stage in grid.stages.values() if "final" in grid.keep.get(stage.key, ()))
    inputs = {
        role: (load_mask if role == "mask" else load_weights)(whole.read(read.stage, read.output))
        for role, read in stage.inputs.items()
    }
    taken: list[Checkpoint] = []
    train(
        stage.training,
        inputs,
        data.load(stage.training.configuration.data, tmp_path),
        hooks=Hooks(checkpoint_due=lambda: True, checkpoint=taken.append),
    )
    store = Store(str(tmp_path / "damaged"))
    for state in (taken[2], taken[6]):
        store.checkpoints.write(stage.key, "killed", state.iteration, state.to_bytes())
    files = {path.stat().st_mtime_ns: path for path in (tmp_path / "damaged" / "checkpoints").rglob("*.safetensors")}
    latest = files[max(files)]
    latest.write_bytes(latest.read_bytes()[:-100])
    found = store.checkpoints.best(stage.key)
    assert found is not None and found[0] == taken[2].iteration
    with pytest.raises(ValueError, match="not a whole checkpoint"):
        Checkpoint.from_bytes(taken[6].to_bytes()[:-100])
    assert outputs(run_into(grid, tmp_path / "damaged", unheard), grid) == outputs(whole, grid)


@pytest.mark.parametrize("prune_output", [False, True])
def test_the_output_layer_is_pruned_everywhere_or_nowhere(
    prune_output: bool, tmp_path: Path, unheard: Listener
) -> None:
    """Chain, transfer and all nine controls, as trained and as reported; two equal class counts, so that all fit."""
    grid = grid_of(
        tmp_path,
        prune={"rate": 0.5, "rounds": 2, "rewind": "2it", "prune_output": prune_output},
        tickets=["winning", *CONTROLS[1:]],
        retention={"chains": "weights", "evaluations": "weights"},
    )
    store = run_into(grid, tmp_path / "store", unheard)
    layers = {"fc1.weight", "fc2.weight"} | ({"head.weight"} if prune_output else set())
    for key, stage in grid.stages.items():
        record = store.record(key)
        assert record is not None
        if stage.kind == "prune":
            assert set(load_mask(store.read(key, "mask"))) == layers
    for point in grid.points:
        if point.ticket == "dense":
            continue
        record = store.record(point.stage)
        assert record is not None
        survivors, final = record["summary"]["survivors"], load_weights(store.read(point.stage, "final"))
        assert set(survivors) == layers and sum(survivors.values()) == point.survivors, point
        for name in ("fc1.weight", "fc2.weight", "head.weight"):
            expected = survivors.get(name, final[name].numel())
            assert int(final[name].count_nonzero()) == expected, (point, name)
