"""What ends a run on Ray from outside Python comes out as exit code 75, and what it has started ends with it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="needs Linux")

PROGRAM = """
import os, signal, subprocess, sys, time
from pipeline.cli.supervision import supervised
with supervised():
    left = subprocess.Popen(["sleep", "600"])
    print(left.pid, os.getpid(), flush=True)
    {ending}
"""


MAIN = """
import os, sys
from pipeline import cli
cli.app = lambda: os._exit(1)  # as Ray ends a process
sys.argv = ["tickets", "run", "grid.yaml", {option}]
cli.main()
"""
TOLD_TO_END_WITHOUT_EFFECT = """
import os, signal
from pipeline.cli.supervision import _end_like
os.kill = lambda *_: None  # to the first process of a container, signals that it does not handle do nothing
_end_like(-signal.SIGTERM, os.pipe()[0])
"""


def begin(ending: str) -> tuple[subprocess.Popen[str], int, int]:
    """The command's process, what the run in it has started, and the run's own process."""
    whole = [sys.executable, "-c", PROGRAM.format(ending=ending)]
    command = subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert command.stdout is not None
    left, run = map(int, command.stdout.readline().split())
    return command, left, run


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [
        ("os._exit(1)", 75, "Ray was lost. Finished stages are in the store"),
        ("os.abort()", 75, "Ray was lost."),
        ("sys.exit(1)", 1, ""),
        ("sys.exit(2)", 2, ""),
        ("os._exit(75)", 75, ""),
        ("pass", 0, ""),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
    ],
)
def test_a_run_ends_with_its_own_exit_code_unless_ray_has_ended_it(ending: str, code: int, said: str) -> None:
    command, left, _ = begin(ending)
    assert command.wait(60) == code
    assert command.stderr is not None and command.stderr.read().startswith(said)
    assert not lives(left)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_passed_on(number: signal.Signals) -> None:
    command, _, _ = begin(
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(7)); "
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print(flush=True); time.sleep(600)"
    )
    assert command.stdout is not None and command.stdout.readline() == "\n"
    command.send_signal(number)
    assert command.wait(60) == 7


def test_a_run_whose_command_is_killed_dies_with_it(wait_until: Callable[..., None]) -> None:
    command, left, run = begin("time.sleep(600)")
    command.kill()
    command.wait()
    wait_until(lambda: not lives(run), 20, "the run has ended")
    os.kill(left, signal.SIGKILL)


@pytest.mark.parametrize(("option", "code"), [("'--lanes=1'", 75), ("'--local'", 1)])
def test_the_command_run_is_supervised_on_ray_and_only_there(option: str, code: int) -> None:
    command = subprocess.run([sys.executable, "-c", MAIN.format(option=option)], capture_output=True, text=True)
    assert command.returncode == code
    assert command.stderr.startswith("Ray was lost.") == (code == 75)


def test_a_signal_that_does_not_end_the_first_process_of_a_container_is_its_exit_code() -> None:
    assert subprocess.run([sys.executable, "-c", TOLD_TO_END_WITHOUT_EFFECT]).returncode == 128 + signal.SIGTERM
