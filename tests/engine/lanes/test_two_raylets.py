"""Lanes over two nodes: one that joins gets lanes, one that is killed loses none of the work."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.lanes.events import Done
from pipeline.engine.lanes.lanes import LaneOptions
from pipeline.engine.lanes.leases import Lease, MakeWork, ReportProgress, RunLease
from pipeline.engine.lanes.outcomes import Outcome
from pipeline.engine.lanes.ray_lanes import RayLanes
from pipeline.engine.lanes.view import View
from pipeline.engine.store.records import Record
from pipeline.experiment.stages import Shape, Stage
from pipeline.lottery.parallel import Group
from pipeline.recipes.keys import key_of

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

DONE: Record = {"key": "", "fields": {}, "status": "ok", "outputs": {}, "inputs": {}, "summary": {}, "finished": 0.0}
WIDE = Shape(cpus_per_worker=3)
"""One lane on each node: the cluster of the tests has four CPUs, the node that joins three."""


@pytest.fixture
def join(ray_node: Any) -> Iterator[Callable[[], int]]:
    """Start a node that joins the cluster; the process id of its raylet."""
    nodes: list[Any] = []

    def start() -> int:
        import ray

        nodes.append(ray_node(f"--address={ray.get_runtime_context().gcs_address}", "--num-cpus=3"))
        deadline = time.monotonic() + 90
        while sum(node["Alive"] for node in ray.nodes()) < 2:
            assert time.monotonic() < deadline and nodes[0].lives, "the second node did not join"
            time.sleep(0.2)
        return int(nodes[0].started()["raylet"])

    yield start
    for node in nodes:
        node.kill()


def work_on(go: Path) -> MakeWork:
    """The first stages are short, all others wait for `go`. Nested, so that it travels to the workers by value."""

    def make(shape: Shape, stop: threading.Event, group: Group | None = None) -> RunLease:
        def work(lease: Lease, report: ReportProgress) -> Outcome:
            import ray

            while int(lease.stage.label.split()[1]) > 1 and not go.exists():
                time.sleep(0.1)
            time.sleep(0.4)
            return Outcome("done", record={**DONE, "summary": {"node": ray.get_runtime_context().get_node_id()}})

        return work

    return make


def test_a_node_that_joins_gets_lanes_and_one_that_is_killed_loses_nothing(
    join: Callable[[], int], tmp_path: Path
) -> None:
    work = [Stage(key_of({"n": n}), "train", {}, f"stage {n}", 0, shape=WIDE) for n in range(24)]
    done: dict[str, str] = {}  # stage -> node, in the order of their ends
    raylet: list[int] = []
    go = tmp_path / "go"

    stop, deadline = threading.Event(), time.monotonic() + 240

    def follow(view: View) -> None:
        if time.monotonic() > deadline:
            stop.set()
        for event in view.events:
            if isinstance(event, Done):
                assert event.stage not in done, "a stage was done twice"
                done[event.stage] = event.record["summary"]["node"]
        if done and not raylet:
            assert len({lane.worker.node for lane in view.lanes if lane.worker}) == 1
            raylet.append(join())
        if len({lane.worker.node for lane in view.lanes if lane.lease and lane.worker}) == 2:
            go.touch()
        if len(set(done.values())) == 2:
            with contextlib.suppress(ProcessLookupError):
                os.kill(raylet[0], signal.SIGKILL)

    with RayLanes(LaneOptions(work_on(go), heartbeat=0.5, lease_timeout=20)) as lanes:
        lanes.run(work, {stage.key: frozenset() for stage in work}, {}, stop, follow)
    assert set(done) == {stage.key for stage in work}
    nodes = list(done.values())
    assert len(set(nodes)) == 2
    assert nodes[-1] == nodes[0], "the node that stayed does what is left"
