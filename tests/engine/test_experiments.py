"""A store remembers the grids that were run in it, and why stages have no result."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.engine.driver import Listener, RunOptions, run
from pipeline.engine.experiments import recall, remember
from pipeline.engine.failures import failures, remember_failures
from pipeline.engine.grid_documents import decode, encode
from pipeline.engine.store import Store
from pipeline.engine.store.documents import Documents
from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load
from pipeline.experiment.planning import plan

GRID = """
name: {name}
model: {model}
seeds: [0, 1]
training: {{optimizer: {{name: sgd, lr: 0.1}}, batch_size: 64, length: 1ep}}
prune: {{rate: 0.4, rounds: 2, rewind: 5it}}
sources:
  - {{name: low, dataset: {{name: digits, classes: [0, 1, 2]}}, prune: {{scope: layerwise}}}}
  - {{name: high, dataset: {{name: digits, classes: [3, 4, 5]}}}}
targets: same
tickets: [winning, random, {{name: shuffled, mask: permuted-within-layers, weights: shuffled}}]
"""


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Grid]:
    def grid(name: str = "one", model: str = "lenet-10") -> Grid:
        (tmp_path / "grid.yaml").write_text(GRID.format(name=name, model=model))
        return expand(load(tmp_path / "grid.yaml"))

    return grid


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def test_a_remembered_grid_is_the_grid_without_the_stages_fields(make: Callable[..., Grid], store: Store) -> None:
    grid = make()
    remember(store, grid)
    again = recall(store, "one")
    assert again.spec.model_dump() == grid.spec.model_dump()
    for part in ("name", "points", "keep", "roles", "requested", "kept_bytes"):
        assert getattr(again, part) == getattr(grid, part), part
    assert list(again.stages) == list(grid.stages)
    for key, stage in grid.stages.items():
        found = again.stages[key]
        expected = (stage.kind, stage.label, stage.iterations, dict(stage.inputs))
        assert (found.kind, found.label, found.iterations, found.inputs) == expected
    nothing = store.snapshot()
    assert plan(again, nothing).to_run == plan(grid, nothing).to_run
    assert decode(json.loads(json.dumps(encode(again)))).points == grid.points


def test_the_newest_grid_of_a_name_counts_and_an_equal_one_is_not_written_again(
    make: Callable[..., Grid], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(store, make())
    remember(store, make(model="lenet-20"))
    model = recall(store, "one").spec.models[0]
    assert model.model_dump()["hidden"] == (20,)
    monkeypatch.setattr(Documents, "write", lambda *arguments: pytest.fail("written again"))
    remember(store, make(model="lenet-20"))


def test_an_unknown_name_is_answered_with_those_that_there_are(make: Callable[..., Grid], store: Store) -> None:
    with pytest.raises(UserError, match="It has none"):
        recall(store, "one")
    remember(store, make("one"))
    remember(store, make("other"))
    with pytest.raises(UserError, match=r"Did you mean 'other'\? It has one, other\."):
        recall(store, "othr")


def test_the_data_and_the_model_of_a_remembered_grid_need_not_be_here(
    tmp_path: Path, make: Callable[..., Grid], store: Store
) -> None:
    model = tmp_path / "my_models.py"
    model.write_text(
        "import torch\n\n\nclass Net(torch.nn.Sequential):\n    def __init__(self, input_shape, classes):\n"
        "        super().__init__(torch.nn.Flatten(), torch.nn.Linear(64, 8), torch.nn.Linear(8, classes))\n"
    )
    remember(store, make(model="my_models.py:Net"))
    model.unlink()
    from pipeline.report.results import results_table

    table = results_table(recall(store, "one"), store.snapshot())
    assert set(table["model"]) == {"Net"} and set(table["status"]) == {"missing"}


def test_a_run_remembers_its_grid_and_what_failed_and_forgets_it_when_it_is_mended(
    tmp_path: Path, make: Callable[..., Grid], store: Store, monkeypatch: pytest.MonkeyPatch, unheard: Listener
) -> None:
    from pipeline.engine import execute

    grid = make()
    options = RunOptions(store.uri, tmp_path, local=True)

    def breaks(*arguments: object, **options: object) -> None:
        raise ValueError("no room in the attic")

    with monkeypatch.context() as patched:
        patched.setattr(execute, "next_mask", breaks)
        run(grid, options, unheard)
    failed, skipped = failures(store, "one")
    assert recall(store, "one").points == grid.points
    assert {grid.stages[key].kind for key in failed} == {"prune"}
    assert all("no room in the attic" in message for message in failed.values())
    assert skipped and set(skipped) <= set(grid.stages)
    run(grid, options, unheard)
    assert failures(store, "one") == ({}, {})


def test_nothing_is_written_for_a_grid_that_never_failed(store: Store) -> None:
    remember_failures(store, "one", {}, {})
    assert store.documents.names("failures") == []


@pytest.mark.parametrize("change", ["layout", "field", "damaged"])
def test_what_another_version_remembered_is_said_to_be_unreadable(
    make: Callable[..., Grid], store: Store, change: str
) -> None:
    document = encode(make())
    if change == "layout":
        document["layout"] += 1
    elif change == "field":
        document["spec"]["invented"] = 1
    else:
        del document["points"]
    store.documents.write("grids/one", document)
    with pytest.raises(UserError, match=r"another version ran it.* Give the grid's file"):
        recall(store, "one")
