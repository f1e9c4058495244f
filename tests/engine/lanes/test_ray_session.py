"""A Ray that does not come up is started again, one that is lost ends the run with 75; what is waited for is said."""

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import ray
import ray.train

from pipeline.engine import waiting
from pipeline.engine.lanes import ray_cluster, ray_processes
from pipeline.engine.lanes.lane_runs import STARTS, LaneRun, LaneRuns
from pipeline.engine.lanes.lanes import LaneOptions
from pipeline.engine.lanes.ray_lanes import RayLanes
from pipeline.engine.lanes.ray_lost import RayLostError
from pipeline.engine.lanes.ray_start import ATTEMPTS, start_ray
from pipeline.experiment.errors import UserError
from pipeline.experiment.stages import Shape


def starts(monkeypatch: pytest.MonkeyPatch, *outcomes: Exception | None) -> list[str]:
    """`ray.init` ends so, one after the other; what was said meanwhile."""
    left = list(outcomes)

    def init(**_: Any) -> MagicMock:
        outcome = left.pop(0)
        if outcome is not None:
            raise outcome
        return MagicMock(dashboard_url="here:8265")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray_processes, "end_all", lambda: None)
    return []


LATE = Exception("The current node timed out during startup. This could happen\nbecause of much.")


def test_a_ray_that_is_late_is_started_again_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said = starts(monkeypatch, LATE, ConnectionError("no GCS"), None)
    assert start_ray("local", said.append, threading.Event()) == "here:8265"
    assert len(said) == 2 and "timed out during startup" in said[0] and "no GCS" in said[1]


def test_a_ray_that_never_comes_up_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    said = starts(monkeypatch, *[LATE] * ATTEMPTS)
    with pytest.raises(RayLostError, match=r"3 attempts \(The current node timed out.*--local$"):
        start_ray("local", said.append, threading.Event())
    starts(monkeypatch, *[LATE] * ATTEMPTS)
    with pytest.raises(RayLostError, match=r"cluster at 10\.0\.0\.9:6379 is up"):
        start_ray("10.0.0.9:6379", said.append, threading.Event())


def test_what_a_person_has_to_mend_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    said = starts(monkeypatch, PermissionError(13, "Permission denied", "/tmp/ray"))
    with pytest.raises(PermissionError):
        start_ray("local", said.append, threading.Event())
    starts(monkeypatch, ValueError("malformed address"))
    with pytest.raises(UserError, match="--address nowhere: malformed address"):
        start_ray("nowhere", said.append, threading.Event())
    assert not said


def test_what_takes_long_is_said_and_what_is_quick_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "AFTER", 0.1)
    said: list[str] = []
    with waiting.waiting("Quick", said.append):
        pass
    with waiting.waiting("Waiting for the store", said.append):
        time.sleep(0.3)
    assert said == ["Waiting for the store ..."]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("comes_up", [True, False])
def test_a_run_that_is_stopped_while_ray_starts_ends_as_an_interrupted_one(
    number: signal.Signals,
    comes_up: bool,
    small: Any,
    run_locally: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts: list[str] = []

    def init(**_: Any) -> MagicMock:
        attempts.append("one")
        # As in Ray 2.60, whose handler ends the process with exit code 15.
        ray._private.utils.set_sigterm_handler(lambda number, _: sys.exit(number))
        os.kill(os.getpid(), number)
        if not comes_up:
            raise LATE
        return MagicMock()

    starts(monkeypatch)
    run = MagicMock()
    for place, name, value in (
        (ray, "init", init),
        (ray, "is_initialized", lambda: False),
        (ray_cluster, "Watch", MagicMock()),
        (RayLanes, "run", run),
    ):
        monkeypatch.setattr(place, name, value)
    setter, before = ray._private.utils.set_sigterm_handler, signal.getsignal(signal.SIGTERM)
    assert run_locally(small, tmp_path, local=False)[0].exit_code == 128 + number
    assert len(attempts) == 1 and not run.called
    assert ray._private.utils.set_sigterm_handler is setter and signal.getsignal(signal.SIGTERM) is before


GROUP_DIED = ray.train.WorkerGroupError("killed", {0: ray.exceptions.RayActorError(), 1: OSError("peer closed")})
NO_GROUP = ray.train.ControllerError(TimeoutError("The worker group startup timed out after 300 seconds"))
CODE_RAISED = ray.train.WorkerGroupError("rank 0: no torch", {0: ImportError("no torch")})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (GROUP_DIED, RayLostError),
        (NO_GROUP, RayLostError),
        (ray.exceptions.RayActorError(), RayLostError),
        (CODE_RAISED, UserError),
    ],
)
def test_lanes_that_ray_does_not_bring_up_are_rays_and_what_a_worker_raises_is_to_be_mended(
    error: Exception, kind: type[Exception]
) -> None:
    runs, ended = LaneRuns(MagicMock(), 1.0), threading.Thread()
    runs._runs = {f"lane-{number}": LaneRun(Shape(), ended, [error]) for number in range(STARTS)}
    board = MagicMock()
    board.goodbye.return_value = False  # none of them has started
    with pytest.raises(kind, match=r"3 lanes in a row could not start; the last: \w+"):
        runs.reap(board)


def test_a_ray_that_is_lost_between_its_start_and_the_watch_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts(monkeypatch, None)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_cluster, "_refuse_if_open", lambda dashboard: None)
    for error in (StopIteration(), RuntimeError("GCS is gone"), ray.exceptions.RaySystemError("no raylet")):
        monkeypatch.setattr(ray_cluster, "Watch", MagicMock(side_effect=error))
        with pytest.raises(RayLostError, match=r"^Ray was lost while it started"):
            RayLanes(LaneOptions(MagicMock())).__enter__()
        starts(monkeypatch, None)


LEFT = """
from pipeline.cli.console import plain_streams
from pipeline.engine.lanes import ray_processes
ray_processes.end_all = lambda: None
with plain_streams():
    ray_processes.leave("Ray is gone")
"""


def test_the_cursor_of_a_terminal_is_shown_again_when_the_process_is_ended() -> None:
    screen, terminal = pty.openpty()
    ended = subprocess.run([sys.executable, "-c", LEFT], stdout=terminal, stderr=subprocess.PIPE)
    os.close(terminal)
    assert ended.returncode == 75 and ended.stderr.startswith(b"Ray is gone. ")
    assert os.read(screen, 100) == b"\x1b[?25h"
    os.close(screen)


def processes_below(pid: int) -> dict[int, str]:
    found: dict[int, str] = {}
    stack = [pid]
    while stack:
        for task in Path(f"/proc/{stack.pop()}/task").glob("*/children"):
            try:
                below = {
                    int(child): Path(f"/proc/{child}/comm").read_text().strip() for child in task.read_text().split()
                }
            except OSError:
                continue
            found |= below
            stack += below
    return found


@pytest.mark.ray
def test_a_run_is_not_disturbed_by_another_ray_of_the_machine(ray_cluster: str, start: Callable[..., Any]) -> None:
    """Ray Train's actors asked the other one whether their controller lives, and gave up the lane's place."""
    command = start("--lanes", "1")
    said = command.communicate(timeout=400)[0]
    assert command.returncode == 0 and "stages run, 0 cached" in said, said


def test_a_run_whose_raylet_is_killed_ends_with_75_in_one_sentence_and_leaves_nothing(
    start: Callable[..., Any], wait_until: Callable[..., None], tmp_path: Path
) -> None:
    command = start("--lanes", "1")
    try:
        # One that is killed before Ray is up is started again.
        wait_until(lambda: any(tmp_path.glob("store/claims/*")), 240, "a stage has begun")
        below = processes_below(command.pid)
        os.kill(next(pid for pid, name in below.items() if name == "raylet"), signal.SIGKILL)
        said, _ = command.communicate(120)
    finally:
        command.kill()
    assert "Traceback" not in said and said.count("Finished stages are in the store") == 1, said
    assert command.returncode == 75, said
    wait_until(lambda: not [pid for pid in below if Path(f"/proc/{pid}").exists()], 20, "all processes have ended")
