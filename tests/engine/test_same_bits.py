"""The same grid gives the same bits: in this process, on one lane, on two, killed and run again."""

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.driver import RunOptions, run
from pipeline.engine.lanes.events import Done, Retried
from pipeline.engine.lanes.view import View
from pipeline.engine.store import Store

Start = Callable[..., Any]
Results = Callable[[Path], dict[str, Any]]


def started_at(store: Path) -> dict[str, float]:
    snapshot = Store(str(store)).snapshot()
    return {key: record["started"] for key in snapshot if (record := snapshot.record(key)) is not None}


def kill_at_random(process: Any, store: Path, chance: random.Random) -> bool:
    """SIGKILL the process some way into what is left to do. False if it was faster."""
    done = store / "done"
    before = len(list(done.glob("*.json"))) if done.exists() else 0
    goal, deadline = before + chance.randint(0, 3), time.monotonic() + 600
    while process.poll() is None and time.monotonic() < deadline:
        at_work = (store / "claims").exists() and list((store / "claims").iterdir())
        if at_work and len(list(done.glob("*.json")) if done.exists() else []) >= goal:
            break
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.15))
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    process.wait()
    return True


@pytest.mark.parametrize("arguments", [("--local", "--checkpoint-minutes", "0.0005")])
def test_a_driver_killed_ten_times_ends_with_the_same_results_and_runs_no_finished_stage_twice(
    start: Start, tmp_path: Path, expected: dict[str, Any], results_of: Results, arguments: tuple[str, ...]
) -> None:
    chance, kills, first_start = random.Random(0), 0, dict[str, float]()
    while kills < 10:
        process = start(*arguments)
        if kill_at_random(process, tmp_path / "store", chance):
            kills += 1
        now = started_at(tmp_path / "store")
        assert {key: now[key] for key in first_start} == first_start
        first_start = now
        if process.returncode == 0:  # faster than this process, which other tests may hold up: once more from the start
            assert results_of(tmp_path / "store") == expected
            shutil.rmtree(tmp_path / "store")
            first_start = {}
    last = start(*arguments)
    output = last.communicate(timeout=600)[0]
    assert last.returncode == 0, output
    assert results_of(tmp_path / "store") == expected
    final = started_at(tmp_path / "store")
    assert {key: final[key] for key in first_start} == first_start
    assert not list((tmp_path / "store" / "checkpoints").rglob("*.safetensors"))


def test_a_driver_on_ray_that_is_killed_leaves_no_process_and_another_one_goes_on_without_ray(
    start: Start, tmp_path: Path, expected: dict[str, Any], results_of: Results, wait_until: Any
) -> None:
    store = tmp_path / "store"
    process = start("--lanes", "1", "--checkpoint-minutes", "0.0005")
    assert kill_at_random(process, store, random.Random(1))
    (killed,) = Store(str(store)).drivers.living().values()
    driver = killed.status["pid"]
    wait_until(lambda: not children_of_session(driver), 600, "Ray's processes are gone")
    before = started_at(store)
    last = start("--local")
    output = last.communicate(timeout=600)[0]
    assert last.returncode == 0, output
    assert results_of(store) == expected
    after = started_at(store)
    assert {key: after[key] for key in before} == before


def children_of_session(driver: int) -> list[str]:
    """Command lines of the processes of the Ray session that the driver with this process id started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if f"_{driver}/" in line and "session_" in line:
            found.append(line)
    return found


@pytest.mark.ray
def test_a_lane_gives_the_same_results_as_this_process_though_its_worker_is_killed_in_the_middle_of_a_stage(
    ray_cluster: None,
    small: Any,
    tmp_path: Path,
    expected: dict[str, Any],
    results_of: Results,
    quiet: type,
) -> None:
    """The run goes on by itself; what the worker had leased comes back."""
    killed: list[int] = []

    class Killer(quiet):  # type: ignore[misc]  # a fixture gives the class
        def followed(self, view: View) -> None:
            super().followed(view)
            busy = [lane for lane in view.lanes if lane.lease and lane.lease.stage.kind == "train"]
            if busy and not killed and sum(isinstance(event, Done) for event in self.events) >= 3:
                killed.extend(lane.worker.pid for lane in busy[:1] if lane.worker)
                os.kill(killed[0], signal.SIGKILL)

    listener = Killer()
    options = RunOptions(str(tmp_path), Path("data"), lanes=1)
    summary = run(small, options, listener)
    assert killed and any(isinstance(event, Retried) for event in listener.events)
    done = Counter(event.stage for event in listener.events if isinstance(event, Done))
    assert summary.exit_code == 0 and done == Counter(small.stages.keys())
    assert results_of(tmp_path) == expected


def test_control_c_checkpoints_and_says_how_to_go_on(
    start: Start, tmp_path: Path, expected: dict[str, Any], results_of: Results, wait_until: Any
) -> None:
    process = start("--local")
    claims = tmp_path / "store" / "claims"
    wait_until(lambda: claims.exists() and any(claims.iterdir()), 600, "a stage is running")
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 130 and "run the same command again to go on" in output, output
    assert Store(str(tmp_path / "store")).drivers.living() == {}
    again = start("--local")
    output = again.communicate(timeout=600)[0]
    assert again.returncode == 0, output
    assert results_of(tmp_path / "store") == expected
