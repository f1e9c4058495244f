"""A small grid on real digits, its uninterrupted results, and how results are compared."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.driver import RunOptions, run
from pipeline.engine.lanes.events import Event, Failed, InputLost, Retried
from pipeline.engine.lanes.view import View
from pipeline.engine.store import Snapshot, Store
from pipeline.engine.summary import RunSummary
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load
from pipeline.experiment.planning import Plan

SMALL = """
name: small
model: lenet-20-10
seeds: [0]
training:
  optimizer: {name: sgd, lr: 0.1, momentum: 0.9, weight_decay: 1.0e-4}
  batch_size: 32
  length: 6ep
  record_every: 2ep
prune: {rate: 0.5, rounds: 3, rewind: 1ep}
sources:
  - {name: low, dataset: {name: digits, classes: [0, 1, 2, 3, 4]}}
  - {name: high, dataset: {name: digits, classes: [5, 6, 7, 8, 9]}}
targets: same
tickets: [winning, random]
"""


class Quiet:
    """A listener that remembers what it was told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.events: list[Event] = []
        self.plans: list[Plan] = []

    def planned(self, todo: Plan, snapshot: Snapshot) -> None:
        self.plans.append(todo)

    def followed(self, view: View) -> None:
        self.events += view.events

    def said(self, message: str) -> None:
        self.messages.append(message)

    @property
    def text(self) -> str:
        of_events = [event.message for event in self.events if isinstance(event, Retried | Failed | InputLost)]
        return "\n".join([*self.messages, *of_events])


def results(store: Path) -> dict[str, Any]:
    """What a run found, without when and where: for each stage its status, summary and the hashes of what is kept."""
    snapshot, found = Store(str(store)).snapshot(), {}
    for key in snapshot:
        record = snapshot.record(key)
        assert record is not None
        outputs = {name: out["sha256"] for name, out in record["outputs"].items() if "path" in out}
        found[key] = (record["status"], record["summary"], outputs)
    return found


@pytest.fixture(scope="session")
def quiet() -> type[Quiet]:
    """The listener's class, to derive from."""
    return Quiet


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grids") / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="session")
def small(small_file: Path) -> Grid:
    return expand(load(small_file, []), "data")


@pytest.fixture(scope="session")
def run_locally() -> Callable[..., tuple[RunSummary, Quiet]]:
    def go(grid: Grid, store: Path, **options: Any) -> tuple[RunSummary, Quiet]:
        listener = Quiet()
        options = {"local": True, **options}
        return run(grid, RunOptions(str(store), Path("data"), **options), listener), listener

    return go


@pytest.fixture(scope="session")
def results_of() -> Callable[[Path], dict[str, Any]]:
    return results


@pytest.fixture(scope="session")
def uninterrupted(small: Grid, run_locally: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of `small`, run in one process without a break. Do not change."""
    store = tmp_path_factory.mktemp("uninterrupted")
    summary, _ = run_locally(small, store)
    assert summary.exit_code == 0 and summary.ran == len(small.stages)
    return store


@pytest.fixture(scope="session")
def expected(uninterrupted: Path) -> dict[str, Any]:
    """The results of `small`, uninterrupted, in one process."""
    return results(uninterrupted)


@pytest.fixture
def start(small_file: Path, tmp_path: Path, fork: Callable[..., Any]) -> Callable[..., Any]:
    """Start `tickets run` on the small grid as a process of its own."""
    command = ["run", str(small_file), "--store", str(tmp_path / "store"), "--tracking", "none"]
    command += ["--reports", str(tmp_path / "reports")]

    def go(*arguments: str) -> Any:
        return fork(tmp_path, *command, *arguments, environment=os.environ, merged=True)

    return go
