"""Why a stage is not in a store: the nearest one there, and the fields in which they differ."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load
from pipeline.experiment.nearest import Nearest, nearest

GRID = """
name: tiny
model: lenet-20-10
seeds: [0, 1]
training: {optimizer: {name: sgd, lr: 0.1}, batch_size: 64, length: 2ep}
prune: {rate: 0.4, rounds: 2, rewind: 5it}
sources: [{name: low, dataset: {name: digits, classes: [0, 1, 2, 3, 4]}}]
targets: [{name: high, dataset: {name: digits, classes: [5, 6, 7, 8, 9]}}]
tickets: [winning, random]
"""
Made = Callable[..., Grid]


@pytest.fixture
def grid(tmp_path: Path) -> Made:
    (tmp_path / "tiny.yaml").write_text(GRID)
    return lambda *changes: expand(load(tmp_path / "tiny.yaml", changes))


def compared(now: Grid, *there: Grid) -> dict[str, Nearest]:
    records = {key: stage.recipe.fields() for grid in there for key, stage in grid.stages.items()}
    return nearest(now, [key for key in now.stages if key not in records], records)


def said(found: dict[str, Nearest]) -> set[tuple[str, ...]]:
    return {tuple(map(str, near.differences)) for near in found.values()}


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("training.optimizer.lr=0.05", "optimizer.lr: 0.1 in the store, 0.05 now"),
        ("training.optimizer.nesterov=true", "optimizer.nesterov: nothing in the store, true now"),
        ("training.precision=bf16", 'precision: nothing in the store, "bf16" now'),
        ("model=lenet-30-10", "model.hidden: [20,10] in the store, [30,10] now"),
        ("prune.rate=0.5", "rule.rate: 0.4 in the store, 0.5 now"),
        ("prune.rewind=7it", 'start.weights.output: "it5" in the store, "it7" now'),
    ],
)
def test_one_field_that_was_changed_is_the_only_difference_of_all_stages_or_none(
    grid: Made, change: str, difference: str
) -> None:
    now, there = grid(change, "tickets=[winning]"), grid("tickets=[winning]")
    found = compared(now, there)
    assert found and said(found) <= {(difference,), ()} and (difference,) in said(found)
    for key, near in found.items():
        assert near.key is not None and there.stages[near.key].label == now.stages[key].label
        assert near.differences or near.follows, "what differs is said of the stage, or of one that it reads"


def test_a_stage_follows_from_those_that_it_reads(grid: Made) -> None:
    now = grid("training.optimizer.lr=0.05")
    found = compared(now, grid())
    for key, near in found.items():
        read = {reference.stage for reference in now.stages[key].inputs.values()}
        assert (near.follows in read) if read else near.follows is None


def test_several_fields_are_found_too_and_equal_ones_are_not_named(grid: Made) -> None:
    found = compared(grid("training.optimizer.lr=0.05", "training.batch_size=32"), grid())
    fields = {difference.field for near in found.values() for difference in near.differences}
    assert {"optimizer.lr", "batch_size"} <= fields <= {"optimizer.lr", "batch_size", "iterations", "record_every"}


def test_a_further_seed_is_near_to_any_other(grid: Made) -> None:
    found = compared(grid("seeds=[0, 1, 2]"), grid())
    assert len(found) == 9 and said(found) == {("seed: 0 in the store, 2 now",)}


def test_what_is_changed_is_found_before_another_seed(grid: Made) -> None:
    found = compared(grid("training.optimizer.lr=0.05"), grid(), grid("training.optimizer.lr=0.05", "seeds=[7]"))
    assert {difference.field for near in found.values() for difference in near.differences} == {"optimizer.lr"}


def test_nothing_is_near_in_an_empty_store_or_to_another_kind_of_work(grid: Made) -> None:
    now = grid()
    assert {near.key for near in nearest(now, now.stages, {}).values()} == {None}
    other = {"0" * 64: {"kind": "train", "seed": 0, "round": 0, "a": 1, "b": 2}}
    assert {near.key for near in nearest(now, now.stages, other).values()} == {None}
