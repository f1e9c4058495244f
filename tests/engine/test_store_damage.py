"""Every kind of file, damaged in every way: named, never believed, and mended by running again."""

import logging
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.store import CorruptOutput, MissingOutput, Snapshot, Store

KEY, OTHER = "a" * 64, "b" * 64


def finish(store: Store, key: str) -> dict[str, Any]:
    outputs = {name: store.put_output(key, name, f"{name} of {key}".encode(), "bin") for name in ("final", "history")}
    whole = {"key": key, "fields": {}, "status": "ok", "outputs": outputs, "inputs": {}, "summary": {}, "finished": 1}
    return store.finish(whole)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def contents(snapshot: Snapshot) -> dict[str, Any]:
    return {key: snapshot.record(key) for key in snapshot}


DAMAGE = (truncate, empty, flip_a_byte)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with two stages and one file of every other kind."""
    store = Store(tmp_path)
    for key in (KEY, OTHER):
        finish(store, key)
        os.utime(tmp_path / f"done/{key}.json", (1_000_000_000, 1_000_000_000))
    store.write_checkpoint(KEY, "one", 10, b"state at 10")
    store.write_checkpoint(KEY, "one", 20, b"state at 20")
    store.write_document("runs", {"id": 1})
    store.heartbeat("driver", {})
    store.claim(KEY, "driver")
    touch_later = tmp_path / f"done/{'c' * 64}.json"
    finish(store, "c" * 64)
    assert touch_later.exists()
    store.compact(store.snapshot(), always=True)
    assert not list(store.verify())
    return tmp_path


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
        path.write_bytes(before)


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
    assert store.read(KEY, "final") and not list(store.verify())


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
    assert {problem.path for problem in snapshot.problems} == {f"done/{KEY}.json", "done/notes.txt"}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_payload_is_named_and_made_again(root: Path, damage: Callable[[Path], None]) -> None:
    store = Store(root)
    path = store.record(KEY)["outputs"]["final"]["path"]
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
    assert store.read(KEY, "final") == f"final of {KEY}".encode() and not list(store.verify())


def test_a_lost_payload_is_missing_and_named(root: Path) -> None:
    store = Store(root)
    path = store.record(KEY)["outputs"]["final"]["path"]
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
        store.write_checkpoint(KEY, damage.__name__, 30, b"state at 30")
        damage(next((root / f"checkpoints/{KEY}/{damage.__name__}").iterdir()))
    (root / f"checkpoints/{KEY}/one/999.safetensors").write_bytes(b"half of an upload")
    assert store.best_checkpoint(KEY) == (20, b"state at 20")


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_document_counts_as_missing(
    root: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(root / "documents/runs.json")
    assert Store(root).read_document("runs") is None and "documents/runs.json" in caplog.text
    Store(root).write_document("runs", {"id": 2})
    assert Store(root).read_document("runs") == {"id": 2}


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
    assert not store.snapshot().problems and len(list((root / "index").iterdir())) == 1


def test_a_damaged_claim_is_free(root: Path) -> None:
    truncate(root / f"claims/{KEY}.json")
    Store(root).heartbeat("another", {})
    assert Store(root).claim(KEY, "another")


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
