"""Lanes on a real Ray: workers killed and stopped, the board killed. Only the work itself is a stand-in."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from pipeline.engine.lanes import lane_runs, ray_cluster
from pipeline.engine.lanes.events import Done, Event, Failed, Retried, Started
from pipeline.engine.lanes.lanes import LaneOptions
from pipeline.engine.lanes.leases import Lease, MakeWork, ReportProgress, RunLease
from pipeline.engine.lanes.outcomes import Outcome
from pipeline.engine.lanes.ray_lanes import RayLanes
from pipeline.engine.lanes.ray_lost import BoardLostError
from pipeline.engine.lanes.view import View
from pipeline.engine.store.records import Record
from pipeline.experiment.errors import UserError
from pipeline.experiment.stages import Shape, Stage
from pipeline.lottery.parallel import Group
from pipeline.recipes.keys import key_of

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

DONE: Record = {"key": "", "fields": {}, "status": "ok", "outputs": {}, "inputs": {}, "summary": {}, "finished": 0.0}


def slow_work(seconds: float) -> MakeWork:
    """Work that reports progress for `seconds` and succeeds. Nested, so that it travels to the workers by value."""

    def make(shape: Shape, stop: threading.Event, group: Group | None = None) -> RunLease:
        def work(lease: Lease, report: ReportProgress) -> Outcome:
            deadline, iteration = time.monotonic() + seconds, 0
            while time.monotonic() < deadline:
                if stop.is_set():
                    return Outcome("interrupted")
                report(iteration := iteration + 1, None)
                time.sleep(0.02)
            return Outcome("done", record={**DONE, "summary": {"pid": os.getpid()}})

        return work

    return make


def stages(count: int, shape: Shape | None = None) -> list[Stage]:
    return [Stage(key_of({"n": n}), "train", {}, f"stage {n}", 0, shape=shape or Shape()) for n in range(count)]


class Follower:
    """Collects events, and once `when` stages are done calls `act` with the view."""

    def __init__(self, when: int, act: Callable[[View], bool]) -> None:
        self.events: list[Event] = []
        self._when, self._act, self._acted = when, act, False

    def __call__(self, view: View) -> None:
        self.events += view.events
        if not self._acted and self.count(Done) >= self._when:
            self._acted = self._act(view)

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(each, kind) for each in self.events)


def run(work: list[Stage], follow: Follower, options: LaneOptions, stop: threading.Event | None = None) -> None:
    with RayLanes(options) as lanes:
        lanes.run(work, {stage.key: frozenset() for stage in work}, {}, stop or threading.Event(), follow)


def work_behind(gate: Path) -> MakeWork:
    """Work that lasts until the gate is there."""

    def make(shape: Shape, stop: threading.Event, group: Group | None = None) -> RunLease:
        def work(lease: Lease, report: ReportProgress) -> Outcome:
            report(1, None)
            while not gate.exists():
                time.sleep(0.02)
            return Outcome("done", record={**DONE, "summary": {"pid": os.getpid()}})

        return work

    return make


def test_a_killed_worker_and_a_stopped_one_are_replaced_and_every_stage_is_done_once(tmp_path: Path) -> None:
    hit: dict[str, int] = {}

    def act(view: View) -> bool:
        busy = [lane for lane in view.lanes if lane.progress.iteration]
        if len(busy) < 2:
            return False
        hit.update({lane.name: lane.worker.pid for lane in busy if lane.worker})
        for pid, signalled in zip(hit.values(), (signal.SIGKILL, signal.SIGSTOP), strict=True):
            os.kill(pid, signalled)
        (tmp_path / "gate").touch()
        return True

    work = stages(8)
    follow = Follower(0, act)
    run(work, follow, LaneOptions(work_behind(tmp_path / "gate"), lanes=2, heartbeat=0.5, lease_timeout=10))
    done = [event for event in follow.events if isinstance(event, Done)]
    assert Counter(event.stage for event in done) == Counter(stage.key for stage in work)
    killed, stopped = hit
    reasons = [event.message for event in follow.events if isinstance(event, Retried)]
    assert any(reason.startswith(f"lane {killed}: ") for reason in reasons)
    assert any(reason.startswith(f"lane {stopped}: no heartbeat for ") for reason in reasons)
    assert not {event.record["summary"]["pid"] for event in done} & set(hit.values())
    for pid in hit.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_when_the_board_dies_the_driver_says_so_and_the_lanes_return(wait_until: Any) -> None:
    import ray

    pids: list[int] = []

    def act(view: View) -> bool:
        from ray.util.state import list_actors

        pids.extend(lane.worker.pid for lane in view.lanes if lane.worker)
        here = ray.get_runtime_context().gcs_address  # another Ray may run on this machine
        actors = list_actors(address=here, detail=True)
        assert any("TrainController" in actor.class_name for actor in actors)
        assert not [actor for actor in actors if "DatasetManager" in actor.class_name], "nothing here is Ray Data's"
        board = [actor for actor in actors if "BoardActor" in actor.class_name and actor.state == "ALIVE"]
        os.kill(board[0].pid, signal.SIGKILL)
        return True

    with pytest.raises(BoardLostError):
        run(stages(50), Follower(1, act), LaneOptions(slow_work(0.3), lanes=1, heartbeat=0.5))
    assert pids

    wait_until(cpus_are_free, 600, "the lanes' CPUs are free again")


def cpus_are_free() -> bool:
    import ray

    return bool(ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"])


def test_stop_ends_stages_in_flight_and_gives_the_cpus_back(wait_until: Any) -> None:
    stop = threading.Event()

    def act(view: View) -> bool:
        if any(lane.progress.iteration for lane in view.lanes):
            stop.set()
        return stop.is_set()

    follow = Follower(0, act)
    run(stages(2), follow, LaneOptions(slow_work(3600), lanes=1, heartbeat=0.3), stop)
    assert [type(event) for event in follow.events] == [Started]
    wait_until(cpus_are_free, 600, "the lane's CPU is free again")


def test_stages_that_never_fit_are_refused_before_anything_waits() -> None:
    work = stages(1, Shape(workers=1, cpus_per_worker=1000))
    with pytest.raises(UserError, match="does not fit this cluster"):
        run(work, Follower(1, lambda view: True), LaneOptions(slow_work(0.1)))


def test_a_run_that_fails_fast_ends_though_stages_are_left() -> None:
    def fail(shape: Shape, stop: threading.Event, group: Group | None = None) -> RunLease:
        return lambda lease, report: Outcome("failed", message="boom")

    follow = Follower(9, lambda view: True)
    run(stages(5), follow, LaneOptions(fail, lanes=1, fail_fast=True))
    assert [type(event) for event in follow.events] == [Started, Failed]


def test_lanes_that_cannot_start_end_the_run_with_their_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(shape: Shape, stop: threading.Event, group: Group | None = None) -> RunLease:
        raise RuntimeError("no such module on this node")

    monkeypatch.setattr(lane_runs, "RESTARTS", 0)
    monkeypatch.setattr(lane_runs, "STARTS", 2)
    with pytest.raises(UserError, match="no such module on this node"):
        run(stages(2), Follower(9, lambda view: True), LaneOptions(broken, lanes=2))  # both at once


def test_what_goes_wrong_on_one_worker_of_a_group_is_told_and_the_group_is_replaced() -> None:
    """Its peer waits for it in the middle of a collective."""

    def make(shape: Shape, stop: threading.Event, group: Group | None = None) -> RunLease:
        def work(lease: Lease, report: ReportProgress) -> Outcome:
            assert group is not None
            if lease.stage.label == "stage 0" and group.rank == 1:
                return Outcome("failed", error_class="user", message="no such image on this node")
            return Outcome("done", record={**DONE, "summary": {"pids": group.everyone(os.getpid())}})

        return work

    follow = Follower(9, lambda view: True)
    run(stages(2, Shape(workers=2)), follow, LaneOptions(make, lanes=1))
    assert follow.count(Retried) == 0
    (failed,) = (event for event in follow.events if isinstance(event, Failed))
    (done,) = (event for event in follow.events if isinstance(event, Done))
    assert failed.message == "no such image on this node"
    assert len(set(done.record["summary"]["pids"])) == 2


def test_a_ray_that_is_started_here_leaves_sigterm_to_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray puts a handler in its place that exits at once: stages in flight would not be checkpointed."""
    import ray

    def start(**_: Any) -> MagicMock:
        signal.signal(signal.SIGTERM, lambda *_: None)
        return MagicMock()

    for name, value in (("is_initialized", lambda: False), ("init", start), ("shutdown", lambda: None)):
        monkeypatch.setattr(ray, name, value)
    monkeypatch.setattr(ray_cluster, "Watch", MagicMock())  # of a Ray that is none
    before = signal.getsignal(signal.SIGTERM)
    with RayLanes(LaneOptions(slow_work(0.1))):
        assert signal.getsignal(signal.SIGTERM) is before
