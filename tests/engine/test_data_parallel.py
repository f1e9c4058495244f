"""A lane of two workers on a real Ray trains stages as one: the same bits again, also after one was killed."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.driver import RunOptions, run
from pipeline.engine.lanes.events import Retried
from pipeline.engine.lanes.view import View
from pipeline.engine.store import Store
from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load

WORKER = Path(__file__).with_name("group_without_ray.py")
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
def grid_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wide") / "wide.yaml"
    path.write_text(GRID)
    return path


@pytest.fixture(scope="module")
def grid(grid_file: Path) -> Grid:
    return expand(load(grid_file, []), "data")


@pytest.fixture(scope="module")
def expected(
    grid_file: Path,
    grid: Grid,
    fork_script: Callable[..., Any],
    run_locally: Callable[..., Any],
    results_of: Callable[[Path], dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """The results of two processes that know each other without Ray."""
    folder = tmp_path_factory.mktemp("without_ray")
    given = {"size": 2, "grid": str(grid_file), "folder": str(folder)}
    workers = [fork_script(WORKER, rank=rank, **given) for rank in range(2)]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join(timeout=600)
            assert worker.exitcode == 0
    finally:
        for worker in workers:
            worker.kill()
    summary, listener = run_locally(grid, folder / "store")  # what no stage reads any more is collected
    assert (summary.exit_code, summary.ran, summary.cached) == (0, 0, len(grid.stages)), listener.text
    return results_of(folder / "store")


def followers(leader: int) -> list[int]:
    """Process ids of the workers of Ray Train beside the `leader`."""
    import ray
    from ray.util.state import list_actors

    here = ray.get_runtime_context().gcs_address  # another Ray may run on this machine
    found = [actor for actor in list_actors(address=here, detail=True) if actor.state == "ALIVE"]
    return [actor.pid for actor in found if "TrainWorker" in actor.class_name and actor.pid != leader]


@pytest.fixture(scope="module")
def killed(ray_cluster: None, grid: Grid, quiet: type, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a lane of which the second worker was killed in the middle of a stage."""
    store, pids = tmp_path_factory.mktemp("killed"), list[int]()

    class Killer(quiet):  # type: ignore[misc]  # a fixture gives the class
        def followed(self, view: View) -> None:
            super().followed(view)
            busy = [lane for lane in view.lanes if lane.lease and lane.lease.stage.kind == "train"]
            if busy and not pids and any((store / "checkpoints").rglob("*.safetensors")):
                leader = busy[0].worker
                assert leader is not None
                pids.extend(followers(leader.pid))
                os.kill(pids[0], signal.SIGKILL)

    listener = Killer()
    summary = run(grid, RunOptions(str(store), Path("data"), checkpoint_seconds=0.1), listener)
    retried = [event.error_class for event in listener.events if isinstance(event, Retried)]
    assert len(pids) == 1 and retried == ["lost worker"], listener.text
    assert summary.exit_code == 0, listener.text
    return store


@pytest.mark.ray
def test_a_lane_of_two_workers_trains_as_two_processes_do_though_one_of_its_workers_is_killed(
    killed: Path, expected: dict[str, Any], results_of: Callable[[Path], dict[str, Any]]
) -> None:
    assert results_of(killed) == expected


@pytest.mark.ray
def test_the_record_says_how_many_workers_trained(killed: Path) -> None:
    snapshot = Store(str(killed)).snapshot()
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
