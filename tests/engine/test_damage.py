"""A damaged file is named by the run that meets it and by `verify`, made again, and the results are the same."""

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.store import Store
from pipeline.engine.store.local import LocalFolder
from pipeline.engine.store.records import Output

Damage = Callable[[Path], None]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "junk").write_text("junk")


@pytest.fixture
def store(uninterrupted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(uninterrupted, tmp_path / "store"))


def some(store: Path, pattern: str) -> Path:
    found = sorted(store.glob(pattern))
    assert found, pattern
    return found[0]


@pytest.mark.parametrize("damage", [truncate, flip, empty, replace_by_a_folder])
@pytest.mark.parametrize(
    "pattern",
    ["done/*.json", "outputs/*/history.*.json", "outputs/*/mask.*.safetensors", "outputs/*/it23.*.safetensors"],
)
def test_a_damaged_file_is_named_by_verify_and_made_again_by_a_run(
    store: Path,
    small: Any,
    run_locally: Any,
    results_of: Any,
    expected: dict[str, Any],
    pattern: str,
    damage: Damage,
) -> None:
    path = some(store, pattern)
    if pattern.startswith("done"):  # of a stage that others read
        path = store / "done" / f"{next(key for key, stage in small.stages.items() if stage.kind == 'prune')}.json"
    damage(path)
    named = [problem.path for problem in Store(str(store)).verify() if problem.severity == "error"]
    assert named == [str(path.relative_to(store))]
    # Evaluations that are to run again read the masks and weights.
    for stage in [key for key, stage in small.stages.items() if stage.inputs and stage.kind == "train"]:
        Store(str(store)).discard(stage, None)
    if path.exists() and "history" in pattern:  # which no stage reads
        Store(str(store)).discard(path.parent.name, "history")
    summary, listener = run_locally(small, store)
    assert summary.exit_code == 0 and results_of(store) == expected
    assert not [problem for problem in Store(str(store)).verify() if problem.severity == "error"]
    if "history" not in pattern:
        assert path.stem[:12] in listener.text or path.parent.name[:12] in listener.text


def test_a_damaged_checkpoint_is_passed_over(
    store: Path, small: Any, run_locally: Any, results_of: Any, expected: dict[str, Any]
) -> None:
    opened = Store(str(store))
    key = next(key for key, stage in small.stages.items() if stage.kind == "train")
    opened.checkpoints.write(key, "earlier", 50, b"not a checkpoint, though its hash is right")
    opened.checkpoints.write(key, "earlier", 60, b"cut short" * 100)
    truncate(some(store, f"checkpoints/{key}/earlier/60.*"))
    opened.discard(key, None)
    summary, _ = run_locally(small, store)
    assert summary.exit_code == 0 and results_of(store) == expected


def test_checkpoints_that_a_killed_driver_left_of_a_finished_stage_are_removed(
    store: Path, small: Any, run_locally: Any
) -> None:
    key = next(key for key, stage in small.stages.items() if stage.kind == "train")
    Store(str(store)).checkpoints.write(key, "killed", 50, b"state")
    run_locally(small, store)
    assert Store(str(store)).checkpoints.keys() == set()


def test_a_folder_that_exists_does_not_count_as_done(store: Path, small: Any, run_locally: Any) -> None:
    shutil.rmtree(store / "done")
    (store / "done").mkdir()
    summary, _ = run_locally(small, store)
    assert summary.ran == len(small.stages)


def test_an_input_that_vanishes_while_the_grid_runs_is_made_again(
    tmp_path: Path, small: Any, run_locally: Any, results_of: Any, expected: dict[str, Any]
) -> None:
    """The weights between a training and its pruning are damaged in the moment that they are written."""
    damaged: list[Path] = []
    original = Store.put_output

    def put_and_damage(self: Store, key: str, name: str, data: bytes, suffix: str) -> Output:
        entry = original(self, key, name, data, suffix)
        if name == "final" and not damaged:
            damaged.append(tmp_path / entry["path"])
            flip(damaged[0])
        return entry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "put_output", put_and_damage)
        summary, listener = run_locally(small, tmp_path)
    assert damaged and damaged[0].parent.name[:12] in listener.text
    assert summary.exit_code == 0 and results_of(tmp_path) == expected


def test_a_lost_input_that_another_driver_has_mended_meanwhile_is_left_alone(store: Path, small: Any) -> None:
    opened = Store(str(store))
    key = next(key for key, stage in small.stages.items() if stage.kind == "prune")
    path = some(store, f"outputs/{key}/mask.*")
    for output in ("mask", None):
        opened.discard_if_lost(key, output)
        assert path.exists() and opened.record(key) is not None
    flip(path)
    opened.discard_if_lost(key, "mask")
    assert not path.exists() and opened.record(key) is not None
    flip(some(store, f"done/{key}.json"))
    opened.discard_if_lost(key, None)
    assert not (store / f"done/{key}.json").exists()


@pytest.mark.parametrize("output", ["history", "mask"])
def test_a_flipped_bit_of_what_no_stage_reads_is_found_by_a_run_that_has_nothing_else_to_do(
    store: Path, small: Any, run_locally: Any, results_of: Any, expected: dict[str, Any], output: str
) -> None:
    path = some(store, f"outputs/*/{output}.*")
    flip(path)
    later = time.time() + 5
    os.utime(path, (later, later))
    summary, listener = run_locally(small, store)
    assert str(path.relative_to(store)) in listener.text and "does not match its SHA-256" in listener.text
    assert summary.exit_code == 0 and 1 <= summary.ran <= 3 and results_of(store) == expected


def test_a_file_of_another_owner_fails_its_stage_in_one_sentence_and_no_other(
    store: Path, small: Any, run_locally: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_, last = (key for key, stage in small.stages.items() if stage.kind == "prune")
    keys = [last, first]
    original = LocalFolder.write

    def write(self: LocalFolder, path: str, data: bytes, **options: Any) -> None:
        if keys[0] in path and path.startswith("outputs"):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
        original(self, path, data, **options)

    for key in keys:
        Store(str(store)).discard(key, "mask")
    monkeypatch.setattr(LocalFolder, "write", write)
    summary, listener = run_locally(small, store)
    assert list(summary.failed) == [keys[0]] and summary.exit_code == 1
    assert "Operation not permitted" in summary.failed[keys[0]] and "Make it writable" in summary.failed[keys[0]]
    assert "Traceback" not in listener.text and Store(str(store)).read(keys[1], "mask")
