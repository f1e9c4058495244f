"""A lane of two workers on a real Ray trains stages as one: the same bits again, also after one was killed."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.driver import RunOptions, run
from pipeline.engine.leases import View
from pipeline.engine.store import Store
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import Grid, expand
from pipeline.experiment.loading import load

GRID = """
name: wide
model: {name: convnet, width: 4}
seeds: [0]
training:
  optimizer: {name: sgd, lr: 0.1, momentum: 0.9, weight_decay: 1.0e-4}
  batch_size: 64
  length: 10ep
  record_every: 5ep
  augment: {crop: 1}
prune: {rate: 0.5, rounds: 1, rewind: 1ep}
sources: [{dataset: digits}]
targets: same
tickets: [winning]
resources: {workers: 2}
"""


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    path = tmp_path_factory.mktemp("wide") / "wide.yaml"
    path.write_text(GRID)
    return expand(load(path, []), "data")


@pytest.fixture(scope="module")
def store(ray_cluster: None, grid: Grid, run_locally: Callable[..., Any], tmp_path_factory: Any) -> Path:
    """What an uninterrupted run leaves."""
    folder: Path = tmp_path_factory.mktemp("store")
    summary, listener = run_locally(grid, folder, local=False)
    assert summary.exit_code == 0 and summary.ran == len(grid.stages), listener.text
    return folder


def followers(leader: int) -> list[int]:
    """Process ids of the workers of Ray Train beside the `leader`."""
    import ray
    from ray.util.state import list_actors

    here = ray.get_runtime_context().gcs_address  # another Ray may run on this machine
    found = [actor for actor in list_actors(address=here, detail=True) if actor.state == "ALIVE"]
    return [actor.pid for actor in found if "TrainWorker" in actor.class_name and actor.pid != leader]


@pytest.mark.ray
def test_a_worker_of_a_group_killed_in_the_middle_of_a_stage_changes_nothing(
    store: Path, grid: Grid, tmp_path: Path, results_of: Callable[[Path], Any], quiet: type
) -> None:
    killed: list[int] = []

    class Killer(quiet):  # type: ignore[misc]
        def followed(self, view: View) -> None:
            super().followed(view)
            busy = [lane for lane in view.lanes if lane.lease and lane.lease.stage.kind == "train"]
            if busy and not killed and any((tmp_path / "checkpoints").rglob("*.safetensors")):
                killed.extend(followers(busy[0].who["pid"]))
                os.kill(killed[0], signal.SIGKILL)

    listener = Killer()
    summary = run(grid, RunOptions(str(tmp_path), Path("data"), checkpoint_seconds=0.01), listener)
    retried = [event["class"] for event in listener.events if event["event"] == "retried"]
    assert len(killed) == 1 and retried == ["lost worker"], listener.text
    assert summary.exit_code == 0, listener.text
    assert results_of(tmp_path) == results_of(store)


@pytest.mark.ray
def test_the_record_says_how_many_workers_trained(store: Path) -> None:
    snapshot = Store(str(store)).snapshot()
    records = [record for key in snapshot if (record := snapshot.record(key)) is not None]
    assert records
    for record in records:
        assert (record["hardware"]["workers"], record["hardware"]["backend"]) == ("2", "gloo")
        assert record["fields"].get("world_size", 2) == 2
    trained = [record["summary"] for record in records if record["fields"]["kind"] == "train"]
    assert all(summary["test_accuracy"] > 0.8 for summary in trained), "they learn"


def test_a_run_in_this_process_alone_is_refused(grid: Grid, run_locally: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leave out --local"):
        run_locally(grid, tmp_path)
