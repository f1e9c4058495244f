"""Several grids in one file: what they share is one stage, and each keeps its own results."""

from pathlib import Path

import pytest

from pipeline.engine.store import Store
from pipeline.experiment.collections import open_work
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import expand
from pipeline.experiment.loading import load
from pipeline.experiment.planning import plan

GRID = """
name: {name}
model: lenet-8
seeds: 2
training: {{length: 2ep}}
prune: {{rounds: {rounds}, rewind: 1ep}}
sources: {sources}
"""


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    (tmp_path / "one.yaml").write_text(GRID.format(name="one", rounds=2, sources="[digits]"))
    more = "[digits, {dataset: digits, grid: {dataset.half: [a, b]}}]"
    (tmp_path / "two.yaml").write_text(GRID.format(name="two", rounds=3, sources=more))
    file = tmp_path / "all.yaml"
    file.write_text("name: both\nexperiments: [one.yaml, two.yaml]\n")
    return file


def test_what_grids_share_is_one_stage_and_nothing_is_lost(collection: Path) -> None:
    work = open_work(collection)
    one, two = work.grids
    assert (work.name, one.name, two.name) == ("both", "one", "two")
    assert set(work.stages) == set(one.stages) | set(two.stages)
    assert len(work.stages) < len(one.stages) + len(two.stages)
    assert work.points == [*one.points, *two.points]
    chain = [key for key in one.stages.keys() & two.stages.keys() if one.roles[key] == "chain"]
    assert chain and work.requested["train"] == one.requested["train"] + two.requested["train"] - len(chain)
    assert max(one.kept_bytes, two.kept_bytes) < work.kept_bytes < one.kept_bytes + two.kept_bytes
    for key, outputs in work.keep.items():
        assert outputs == one.keep.get(key, frozenset()) | two.keep.get(key, frozenset())
    places = {key: place for place, key in enumerate(work.stages)}
    assert all(places[read.stage] < places[key] for key, stage in work.stages.items() for read in stage.inputs.values())
    nothing = Store(str(collection.parent / "store")).snapshot()
    assert set(plan(work, nothing).to_run) == set(plan(one, nothing).to_run) | set(plan(two, nothing).to_run)


def test_a_grid_alone_is_the_same_as_in_a_collection(collection: Path) -> None:
    alone = open_work(collection.parent / "one.yaml")
    assert alone.grids == (alone,)
    assert list(alone.stages) == list(expand(load(collection.parent / "one.yaml")).stages)
    assert list(alone.stages) == list(open_work(collection).grids[0].stages)


def test_overrides_reach_every_grid(collection: Path) -> None:
    assert {len(grid.spec.seeds) for grid in open_work(collection, ["seeds=1"]).grids} == {1}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("experiments: [one.yaml, three.yaml]", "all.yaml:1: experiments.1: there is no file"),
        ("experiments: []", "all.yaml:1: experiments: should be a list of YAML files"),
        (
            "seeds: 2\nexperiments: [one.yaml]",
            "all.yaml:1: seeds: a collection has name, description, experiments only",
        ),
        ("experiments: [one.yaml, one.yaml]", "all.yaml:1: experiments: two grids have the name 'one'"),
    ],
)
def test_a_mistake_in_a_collection_is_told_with_its_place(collection: Path, written: str, message: str) -> None:
    collection.write_text(written)
    with pytest.raises(UserError) as refused:
        open_work(collection)
    assert message in str(refused.value)


def test_one_experiment_is_asked_for_where_a_collection_cannot_be_meant(collection: Path) -> None:
    with pytest.raises(
        UserError, match=r"is a collection of experiments, and one is wanted here: .*one.yaml, .*two.yaml"
    ):
        load(collection)


def test_batches_that_do_not_split_over_workers_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    text = GRID.format(name="g", rounds=1, sources="[digits]").replace("length: 2ep", "length: 2ep, {training}")
    for training, message in (
        ("batch_size: 65", "workers: does not divide the batch size of 65"),
        ("batch_size: 64, norm_batch: 64", "norm_batch: should divide the 32 images of a batch that each of 2 workers"),
        ("batch_size: 720", "batch_size: leaves 2 images for the last batch of an epoch"),  # of 1,442
    ):
        file.write_text(text.replace("{training}", training) + "resources: {workers: 2}\n")
        with pytest.raises(UserError, match=message):
            expand(load(file))
