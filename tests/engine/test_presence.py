"""A driver that was killed on this machine is gone for the others at once, whoever is to ask how it ended."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.engine import presence
from pipeline.engine.presence import Presence
from pipeline.engine.store import Store
from pipeline.engine.store.drivers import DriverStatus


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as started:
        yield started
        started.kill()


def test_a_driver_that_is_killed_meanwhile_is_retired_though_its_process_stays_in_the_table(
    tmp_path: Path,
    process: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[[Callable[[], object], float, str], None],
) -> None:
    monkeypatch.setattr(presence, "EVERY", 0.02)
    store = Store(str(tmp_path))
    with Presence(store, "first", DriverStatus) as first:
        assert first.alone()
        machine = store.drivers.living()["first"].status["machine"]
        store.drivers.beat("second", {"machine": machine, "pid": process.pid})
        wait_until(lambda: not first.alone(), 60, "the other is seen")
        process.kill()  # nobody has asked yet how it ended
        wait_until(first.alone, 30, "the other is retired")  # after 60 s it would count as silent
        assert process.returncode is None and store.drivers.living().keys() == {"first"}


def test_a_driver_of_another_machine_is_left_to_time_out(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    store = Store(str(tmp_path))
    store.drivers.beat("elsewhere", {"machine": "another", "pid": process.pid})
    process.kill()
    process.wait()
    with Presence(store, "here", DriverStatus) as here:
        assert not here.alone() and store.drivers.living().keys() == {"elsewhere", "here"}
