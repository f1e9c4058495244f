"""What lanes put among the temporary files goes away with their run, or with the next one if it was killed."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.engine.lanes.lane_folder import LaneFolder, remove_abandoned

LIVES = (
    "import sys, time; from pipeline.engine.lanes.lane_folder import LaneFolder; print(LaneFolder().path, flush=True)"
)
LIVES += "; time.sleep(600)"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("RAY_TMPDIR", "TORCHINDUCTOR_CACHE_DIR"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    return tmp_path


def test_the_next_run_removes_what_a_killed_one_left_and_nothing_of_one_that_lives(
    place: Path, wait_until: Callable[..., None]
) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", LIVES], env=os.environ | {"TMPDIR": str(place)}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        (theirs / "run").mkdir()
        ours = LaneFolder()
        remove_abandoned()
        assert set(place.iterdir()) == {theirs, ours.path}
        ours.remove()
        assert list(place.iterdir()) == [theirs]
    finally:
        other.kill()
        other.wait()
    remove_abandoned()
    assert list(place.iterdir()) == []


def test_processes_that_a_run_starts_have_their_temporary_files_in_its_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    monkeypatch.setattr("pipeline.engine.lanes.lane_folder.LONGEST", 1000)
    folder = LaneFolder()
    with folder.holding_temporary_files():
        command = [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == str(folder.path)
        assert os.environ["RAY_TMPDIR"] == str(place)  # where Ray's sessions, and their logs, have always been
    assert os.environ["TMPDIR"] == "/elsewhere"
    folder.remove()


def test_a_folder_whose_name_leaves_no_room_for_sockets_is_not_given_to_processes(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.engine.lanes.lane_folder.LONGEST", 1)
    monkeypatch.delenv("TMPDIR", raising=False)
    folder = LaneFolder()
    with folder.holding_temporary_files():
        assert "TMPDIR" not in os.environ
    folder.remove()
