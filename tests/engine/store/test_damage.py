"""Every kind of file, damaged in every way: named, never believed, and mended by running again."""

import errno
import logging
import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.store import CorruptOutput, MissingOutput, Problem, Snapshot, Store
from pipeline.engine.store.local import LocalFolder
from pipeline.engine.store.patience import StoreRefusedError
from pipeline.engine.store.records import Record

KEY, OTHER = "a" * 64, "b" * 64


def finish(store: Store, key: str) -> Record:
    outputs = {name: store.put_output(key, name, f"{name} of {key}".encode(), "bin") for name in ("final", "history")}
    whole: Record = {
        "key": key,
        "fields": {},
        "status": "ok",
        "outputs": outputs,
        "inputs": {},
        "summary": {},
        "finished": 1,
    }
    return store.finish(whole)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "junk").write_text("junk")


def contents(snapshot: Snapshot) -> dict[str, Any]:
    return {key: snapshot.record(key) for key in snapshot}


def damaged(store: Store) -> list[Problem]:
    return [problem for problem in store.verify() if problem.severity != "information"]


DAMAGE = (truncate, empty, flip_a_byte, replace_by_a_folder)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with two stages and one file of every other kind."""
    store = Store(tmp_path)
    for key in (KEY, OTHER):
        finish(store, key)
        os.utime(tmp_path / f"done/{key}.json", (1_000_000_000, 1_000_000_000))
    store.checkpoints.write(KEY, "one", 10, b"state at 10")
    store.checkpoints.write(KEY, "one", 20, b"state at 20")
    store.documents.write("runs", {"id": 1})
    store.drivers.beat("driver", {})
    store.claims.claim(KEY, "driver")
    touch_later = tmp_path / f"done/{'c' * 64}.json"
    finish(store, "c" * 64)
    assert touch_later.exists()
    store.compact(store.snapshot(), always=True)
    assert not damaged(store)
    return tmp_path


def path_of(store: Store, key: str, output: str) -> str:
    found = store.record(key)
    assert found is not None
    return found["outputs"][output]["path"]


@pytest.mark.parametrize("damage", DAMAGE)
def test_verify_names_a_damaged_file_of_each_kind_and_nothing_else(root: Path, damage: Callable[[Path], None]) -> None:
    files = [path for path in root.rglob("*") if path.is_file()]
    assert {path.relative_to(root).parts[0] for path in files} == {
        "done", "outputs", "checkpoints", "claims", "drivers", "documents", "index",
    }  # fmt: skip
    for path in files:
        before = path.read_bytes()
        damage(path)
        assert [problem.path for problem in Store(root).verify()] == [str(path.relative_to(root))]
        Store(root).discard_problem(next(iter(Store(root).verify())))
        Store(root).folder.write(str(path.relative_to(root)), before)
        assert not damaged(Store(root))


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("time_unchanged", [False, True])
def test_a_damaged_record_counts_as_not_done_and_is_named(
    root: Path, damage: Callable[[Path], None], time_unchanged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(root)
    for index in (root / "index").iterdir():
        index.unlink()
    path = root / f"done/{KEY}.json"
    damage(path)
    if time_unchanged:
        os.utime(path, (1_000_000_000, 1_000_000_000))
    snapshot = store.snapshot()
    assert not snapshot.done(KEY) and snapshot.done(OTHER)
    assert [(problem.path, problem.key) for problem in snapshot.problems] == [(f"done/{KEY}.json", KEY)]
    with caplog.at_level(logging.WARNING):
        assert store.record(KEY) is None
    assert f"done/{KEY}.json" in caplog.text
    with pytest.raises(CorruptOutput) as caught:
        store.read(KEY, "final")
    assert (caught.value.key, caught.value.output, caught.value.path) == (KEY, None, f"done/{KEY}.json")
    store.discard(KEY, None)
    assert not store.snapshot().problems
    finish(store, KEY)
    assert store.read(KEY, "final") and not damaged(store)


@pytest.mark.parametrize("area", ["done", "outputs", "checkpoints", "claims", "drivers", "documents", "index"])
def test_a_file_in_the_place_of_a_folder_is_named_and_set_aside_when_it_is_needed(root: Path, area: str) -> None:
    shutil.rmtree(root / area)
    (root / area).write_text("of somebody")
    store = Store(root)
    assert area in {problem.path for problem in store.snapshot().problems}
    assert area in {problem.path for problem in store.verify()}
    store.drivers.beat("driver", {})
    for key in (KEY, OTHER, "c" * 64):
        store.discard(key, None)
        finish(store, key)
        assert store.claims.claim(key, "driver") and store.read(key, "final")
    store.checkpoints.write(KEY, "one", 30, b"state at 30")
    store.documents.write("runs", {"id": 1})
    store.compact(store.snapshot(), always=True)
    assert not store.snapshot().problems and not damaged(store)
    assert [path.read_text() for path in root.glob(".tmp-*")] == ["of somebody"]


def test_a_folder_in_the_place_of_any_file_holds_nothing_up(root: Path) -> None:
    for path in [path for path in root.rglob("*") if path.is_file()]:
        replace_by_a_folder(path)
    store = Store(root)
    assert len(store.snapshot()) == 0 and store.checkpoints.best(KEY) is None and store.documents.read("runs") is None
    assert not store.drivers.is_present("driver")
    store.drivers.beat("another", {})
    assert store.claims.claim(KEY, "another")
    store.claims.retire("another")
    for key in (KEY, OTHER, "c" * 64):
        finish(store, key)
        assert store.read(key, "final") and store.read(key, "history")
    store.documents.write("runs", {"id": 1})
    for problem in store.verify():
        store.discard_problem(problem)
    store.compact(store.snapshot(), always=True)
    assert len(store.snapshot()) == 3 and not store.snapshot().problems and not damaged(store)


def test_outputs_that_were_written_to_later_are_read_again_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in root.glob("done/*"):
        path.touch()
    store = Store(root)
    bad, good = (root / path_of(store, key, "history") for key in (KEY, OTHER))
    flip_a_byte(bad)
    good.write_bytes(good.read_bytes())
    later = time.time() + 5
    for path in (bad, good):
        os.utime(path, (later, later))
    snapshot = store.snapshot()
    assert snapshot.available(KEY, "history"), "the size is right"
    read: list[str] = []
    original = LocalFolder.read

    def noted(self: LocalFolder, path: str) -> bytes:
        read.append(path)
        return original(self, path)

    monkeypatch.setattr(LocalFolder, "read", noted)
    snapshot.recheck([KEY, OTHER, "c" * 64])
    assert {path for path in read if path.startswith("outputs")} == {
        str(each.relative_to(root)) for each in (bad, good)
    }
    assert [(problem.output, problem.what) for problem in snapshot.problems] == [
        ("history", "does not match its SHA-256")
    ]
    assert not snapshot.available(KEY, "history") and snapshot.available(OTHER, "history") and not bad.exists()
    os.utime(root / f"done/{OTHER}.json", (later + 1, later + 1))
    read.clear()
    store.snapshot().recheck([KEY, OTHER, "c" * 64])
    assert not [path for path in read if path.startswith("outputs")]


@pytest.fixture
def copied(root: Path) -> Path:
    """A store whose records were copied before its outputs."""
    for path in root.glob("done/*"):
        os.utime(path, (1_000_000_000,) * 2)
    return root


def written(root: Path) -> int:
    """How many records have been written since they were copied."""
    return sum(path.stat().st_mtime > 1_000_000_000 for path in root.glob("done/*"))


def test_a_copied_store_is_checked_once_with_the_reason_on_the_screen(copied: Path) -> None:
    said: list[str] = []
    keys = list(Store(copied).snapshot())
    Store(copied).snapshot().recheck(keys, say=said.append)
    files = sum(path.is_file() for path in copied.glob("outputs/**/*"))
    assert said == [f"Checking {files} files that were copied or changed since their records were written ..."]
    assert written(copied) == len(keys)
    Store(copied).snapshot().recheck(keys, say=said.append)
    assert len(said) == 1


def test_the_check_of_a_copied_store_can_be_stopped(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot, stop = Store(copied).snapshot(), threading.Event()
    stop.set()
    monkeypatch.setattr(LocalFolder, "read", lambda *_: pytest.fail("it is read all the same"))
    snapshot.recheck(list(snapshot), stop=stop)
    assert written(copied) == 0 and not snapshot.problems


def test_records_are_not_written_again_where_another_driver_could_have_changed_them(copied: Path) -> None:
    """It might collect weights in between, and the record would name them again."""
    snapshot = Store(copied).snapshot()
    snapshot.recheck(list(snapshot), alone=lambda: False)
    assert written(copied) == 0 and not snapshot.problems


def test_records_of_a_copied_store_are_written_side_by_side(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together, original = threading.Barrier(2), LocalFolder.write

    def write(self: LocalFolder, path: str, data: bytes, **options: Any) -> None:
        together.wait(10)
        original(self, path, data, **options)

    monkeypatch.setattr(LocalFolder, "write", write)
    snapshot = Store(copied).snapshot()
    snapshot.recheck([KEY, OTHER])
    assert written(copied) == 2


@pytest.mark.parametrize(("number", "cure"), [(errno.ENOSPC, "make room"), (errno.EROFS, "make it writable")])
def test_a_store_that_cannot_be_written_is_named_with_what_to_do(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int, cure: str
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreRefusedError, match=f"{root}.*{cure}"):
        Store(root).documents.write("runs", {"id": 2})
    monkeypatch.undo()
    assert Store(root).documents.read("runs") == {"id": 1} and not list(root.rglob(".tmp-*"))


def test_a_record_under_another_stages_name_is_not_believed(root: Path) -> None:
    (root / f"done/{OTHER}.json").write_bytes((root / f"done/{KEY}.json").read_bytes())
    snapshot = Store(root).snapshot()
    assert not snapshot.done(OTHER) and "under another name" in snapshot.problems[0].what


@pytest.mark.parametrize(
    "content", ["", "{", "null", f'{{"key": "{KEY}"}}', '{"path":"x","content":{},"sha256":"0"}\n']
)
def test_a_record_that_no_store_wrote_is_not_believed(root: Path, content: str) -> None:
    (root / f"done/{KEY}.json").write_text(content)
    (root / f"done/{'d' * 64}.json").mkdir()
    (root / "done/notes.txt").write_text("x")
    snapshot = Store(root).snapshot()
    assert not snapshot.done(KEY) and not snapshot.done("d" * 64)
    named = {f"done/{KEY}.json", f"done/{'d' * 64}.json", "done/notes.txt"}
    assert {problem.path for problem in snapshot.problems} == named


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_payload_is_named_and_made_again(root: Path, damage: Callable[[Path], None]) -> None:
    store = Store(root)
    path = path_of(store, KEY, "final")
    damage(root / path)
    snapshot = store.snapshot()
    if damage is not flip_a_byte:  # sizes are in the listing
        assert not snapshot.available(KEY, "final")
        assert [(problem.path, problem.output) for problem in snapshot.problems] == [(path, "final")]
    assert snapshot.done(KEY) and snapshot.available(KEY, "history")
    with pytest.raises(CorruptOutput, match=r"'final'.*Run the experiment again") as caught:
        store.read(KEY, "final")
    assert (caught.value.key, caught.value.output, caught.value.path) == (KEY, "final", path)
    store.discard(KEY, "final")
    assert not store.snapshot().available(KEY, "final") and store.read(KEY, "history")
    finish(store, KEY)
    assert store.read(KEY, "final") == f"final of {KEY}".encode() and not damaged(store)


def test_a_lost_payload_is_missing_and_named(root: Path) -> None:
    store = Store(root)
    path = path_of(store, KEY, "final")
    (root / path).unlink()
    with pytest.raises(MissingOutput) as caught:
        store.read(KEY, "final")
    assert caught.value.path == path
    snapshot = store.snapshot()
    assert not snapshot.available(KEY, "final") and snapshot.problems[0].path == path
    assert [(problem.path, problem.key, problem.output) for problem in store.verify()] == [(path, KEY, "final")]


def test_the_furthest_whole_checkpoint_is_used(root: Path) -> None:
    store = Store(root)
    for damage in DAMAGE:
        store.checkpoints.write(KEY, damage.__name__, 30, b"state at 30")
        damage(next((root / f"checkpoints/{KEY}/{damage.__name__}").iterdir()))
    (root / f"checkpoints/{KEY}/one/999.safetensors").write_bytes(b"half of an upload")
    assert store.checkpoints.best(KEY) == (20, b"state at 20")


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_document_counts_as_missing(
    root: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(root / "documents/runs.json")
    assert Store(root).documents.read("runs") is None and "documents/runs.json" in caplog.text
    Store(root).documents.write("runs", {"id": 2})
    assert Store(root).documents.read("runs") == {"id": 2}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_index_is_ignored_named_and_replaced(root: Path, damage: Callable[[Path], None]) -> None:
    store = Store(root)
    whole = store.snapshot()
    path = next((root / "index").iterdir())
    damage(path)
    snapshot = store.snapshot()
    assert [problem.path for problem in snapshot.problems] == [str(path.relative_to(root))]
    assert contents(snapshot) == contents(whole)
    assert store.compact(snapshot)
    assert not store.snapshot().problems and len(list((root / "index").glob("records.*"))) == 1


def test_a_damaged_claim_is_free(root: Path) -> None:
    truncate(root / f"claims/{KEY}.json")
    Store(root).drivers.beat("another", {})
    assert Store(root).claims.claim(KEY, "another")


def test_what_nobody_needs_is_information_once_it_is_old(root: Path) -> None:
    store = Store(root)
    orphan = root / store.put_output(OTHER, "it500", b"made before a crash", "bin")["path"]
    leftover = root / f"outputs/{OTHER}/.tmp-0123"
    leftover.write_bytes(b"half")
    assert not list(store.verify())
    long_ago = time.time() - 7200
    for path in (orphan, leftover):
        os.utime(path, (long_ago, long_ago))
    problems = list(store.verify())
    assert {problem.path for problem in problems} == {str(path.relative_to(root)) for path in (orphan, leftover)}
    assert {problem.severity for problem in problems} == {"information"}
    assert store.snapshot().done(OTHER) and all(".tmp" not in file.path for file in store.folder.files("outputs"))
