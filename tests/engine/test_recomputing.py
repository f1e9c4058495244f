"""Stages of a store are made again, and every bit is compared."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.bit_checks import checks
from pipeline.engine.recomputing import recompute
from pipeline.engine.store import Store, layout, records
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load

DATA = Path("data")


@pytest.fixture
def store(uninterrupted: Path, tmp_path: Path) -> Store:
    shutil.copytree(uninterrupted, tmp_path / "store")
    return Store(str(tmp_path / "store"))


def test_every_stage_comes_out_the_same_also_where_what_it_reads_was_removed(store: Store, small: Grid) -> None:
    """Trained weights between two masks are not kept: a pruning's training is done again, too."""
    before = {key: store.record(key) for key in small.stages}
    found = recompute(store, 1.0, 0, DATA)
    assert found.differing == {key: [] for key in small.stages} and not found.failed and not found.left_out
    assert {key: store.record(key) for key in small.stages} == before
    assert not list(store.folder.files("claims")) and not store.folder.files("drivers")
    (check,) = checks(store)
    assert check["checked"] == found.differing and check["versions"]["torch"]


def test_the_seed_chooses_and_at_least_one_is_chosen(store: Store, small: Grid) -> None:
    once, again, other = (recompute(store, 0.02, seed, DATA).differing for seed in (1, 1, 2))
    assert len(once) >= 1 and once.keys() == again.keys() != other.keys()
    only = list(small.stages)[:2]
    assert recompute(store, 1.0, 0, DATA, keys=only).differing.keys() == set(only)


def test_one_flipped_bit_is_found_that_no_hash_can_tell(store: Store, small: Grid) -> None:
    key = next(key for key in small.stages if store.record(key)["outputs"].get("mask", {}).get("path"))  # type: ignore[index]  # all are done
    record = store.record(key)
    assert record is not None
    data = bytearray(store.read(key, "mask"))
    data[-1] ^= 1
    altered = store.put_output(key, "mask", bytes(data), "safetensors")
    store.folder.delete(record["outputs"]["mask"]["path"])
    store.folder.write(layout.record(key), records.encode({**record, "outputs": {"mask": altered}}))
    assert not list(store.verify())
    found = recompute(store, 1.0, 0, DATA, keys=[key])
    assert found.differing[key] == ["mask"]
    assert checks(store)[-1]["checked"][key] == ["mask"]


def test_what_other_hardware_or_several_workers_made_is_left_out_and_said(store: Store, small: Grid) -> None:
    for key in small.stages:
        record = store.record(key)
        assert record is not None
        other = {**record, "hardware": {**record["hardware"], "cpu": "another one"}}
        store.folder.write(layout.record(key), records.encode(other))  # type: ignore[arg-type]  # a record, altered
    found = recompute(store, 1.0, 0, DATA)
    assert not found.differing and found.eligible == 0
    ((why, stages),) = found.left_out.items()
    assert stages == len(small.stages) and "another one" in why and "bits cannot be compared" in why
    assert not checks(store)


def test_code_of_the_users_own_is_found_by_the_grids_file(
    tmp_path: Path, small_file: Path, run_locally: Callable[..., Any]
) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self, input_shape, classes):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, classes))\n"
    )
    (tmp_path / "grid.yaml").write_text(small_file.read_text().replace("lenet-20-10", "mine.py:Net"))
    grid = expand(load(tmp_path / "grid.yaml", ["prune.rounds=1"]))
    run_locally(grid, tmp_path / "store")
    store = Store(str(tmp_path / "store"))
    alone = recompute(store, 1.0, 0, DATA)
    assert any("name the grid's file" in why for why in alone.left_out)
    found = recompute(store, 1.0, 0, DATA, grid.stages.keys(), grid.stages)
    assert found.differing == {key: [] for key in grid.stages} and not found.failed


def test_what_has_nothing_left_to_compare_is_not_called_equal(store: Store, small: Grid) -> None:
    masks = [key for key, stage in small.stages.items() if stage.kind == "prune"]
    store.collect(masks[0], ["mask"])
    found = recompute(store, 1.0, 0, DATA, keys=masks)
    assert masks[0] not in found.differing and "of which no output is left to compare" in found.left_out
    assert found.compared["mask"] == len(masks) - 1


def test_a_damaged_input_costs_the_stages_that_read_it_alone(store: Store, small: Grid) -> None:
    mask = next(key for key, stage in small.stages.items() if stage.kind == "prune")
    record = store.record(mask)
    assert record is not None
    path = record["outputs"]["mask"]["path"]
    store.folder.write(path, store.folder.read(path)[:-1] + b"?")
    readers = {key for key, stage in small.stages.items() if any(read.stage == mask for read in stage.inputs.values())}
    found = recompute(store, 1.0, 0, DATA)
    assert readers <= found.failed.keys() and found.differing and checks(store)[-1]["checked"] == found.differing
