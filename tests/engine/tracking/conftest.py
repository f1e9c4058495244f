"""A grid of four transfers, a store's snapshot in which it is done, and an MLflow of its own."""

import contextlib
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.tracking.client import connect
from pipeline.engine.tracking.uri import sqlite_path
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load

GRID = """
description: Halves of the digits.
seeds: [0, 1]
model: {name: lenet, hidden: [30, 10]}
prune: {rate: 0.5, rounds: 2, rewind: 3it, evaluate: [0, 1, 2]}
training: {optimizer: {name: sgd, lr: 0.1}, batch_size: 64, length: 1ep}
sources:
  - {name: one, dataset: {name: digits, half: a}}
  - {name: two, dataset: {name: digits, half: b}, training: {optimizer: {name: adam, lr: 0.001}}}
targets: same
dense: false
"""


class Snapshot(dict[str, dict[str, Any]]):
    """All stages of the grid are done, and their outputs are there, but for those `without`."""

    def __init__(self, grid: Grid, without: Callable[[str], bool] = lambda key: False) -> None:
        super().__init__()
        points = {point.stage: point for point in grid.points}
        for key, stage in grid.stages.items():
            if without(key):
                continue
            read = {other.output for one in grid.stages.values() for other in one.inputs.values() if other.stage == key}
            outputs = {
                name: {"path": f"outputs/{key}/{name}", "sha256": f"{len(name):064d}", "size": 9} for name in read
            }
            time = 1_700_000_000.0 + 10 * getattr(stage.recipe, "round", 0)
            self[key] = {
                "key": key,
                "status": "ok",
                "summary": _summary(points.get(key)),
                "started": time - 5,
                "finished": time,
                "seconds": 5.0,
                "versions": {},
                "hardware": {},
                "git_commit": "abc",
                "outputs": outputs,
            }

    def record(self, key: str) -> dict[str, Any] | None:
        return self.get(key)

    def available(self, key: str, output: str) -> bool:
        return output in self.get(key, {}).get("outputs", {})


def _summary(point: Any) -> dict[str, float]:
    """Winning tickets fall slowly, random ones fast, transferred ones in between."""
    if point is None:
        return {}
    steep = 0.08 if point.ticket == "random" else 0.01 if point.source == point.target else 0.03
    accuracy = 0.95 - steep * point.round - 0.002 * point.seed
    return {"test_accuracy": accuracy, "test_loss": 0.4, "train_accuracy": 0.99, "train_loss": 0.1}


@pytest.fixture(scope="session")
def make_grid(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Grid]:
    file = tmp_path_factory.mktemp("grids") / "grid.yaml"

    def make(name: str, *changes: str) -> Grid:
        file.write_text(f"name: {name}\n{GRID}")
        return expand(load(file, list(changes)))

    return make


@pytest.fixture(scope="session")
def snapshot() -> type[Snapshot]:
    return Snapshot


@pytest.fixture(scope="session")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for all tests, each with an experiment of its own name: MLflow migrates a new one for seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db"


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[str], Path]:
    """A copy of the database at an address, to be spoilt: with `uri` it has what other tests logged, too."""

    def copy(uri: str) -> Path:
        connect(uri, "any")
        made, copied = sqlite_path(uri), tmp_path / "mlflow.db"
        assert made is not None
        with contextlib.closing(sqlite3.connect(made)) as source, contextlib.closing(sqlite3.connect(copied)) as target:
            source.backup(target)
        return copied

    return copy


@pytest.fixture
def grid(request: pytest.FixtureRequest, make_grid: Callable[..., Grid]) -> Grid:
    return make_grid(re.sub(r"[^\w.-]+", "-", request.node.name)[:100])


@pytest.fixture(scope="session")
def runs_of() -> Callable[[str, Grid], dict[str, Any]]:
    """The experiment's active runs by name."""

    def runs(uri: str, grid: Grid) -> dict[str, Any]:
        experiment = connect(uri, grid.name)
        found = experiment.client.search_runs([experiment.experiment_id])
        assert len({run.info.run_name for run in found}) == len(found), "two runs of one name"
        return {run.info.run_name: run for run in found}

    return runs


@pytest.fixture(scope="session")
def client_of() -> Callable[[str, Grid], Any]:
    return lambda uri, grid: connect(uri, grid.name).client
