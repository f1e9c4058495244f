"""The index only makes snapshots faster: with it or without it, they say the same."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline.engine.store import Store
from pipeline.engine.store.local import LocalFolder
from pipeline.engine.store.records import Record

KEYS = [f"{number:064x}" for number in range(150)]


def finish(store: Store, key: str, **changes: Any) -> None:
    whole: dict[str, Any] = {
        "key": key,
        "fields": {},
        "status": "ok",
        "outputs": {},
        "inputs": {},
        "summary": {},
        "finished": 1,
    }
    store.finish(cast(Record, {**whole, **changes}))


def settle(root: Path, keys: list[str], age: int = 0) -> None:
    """As if the records had been written long ago."""
    for key in keys:
        os.utime(root / f"done/{key}.json", (1_000_000_000 + age,) * 2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    for number, key in enumerate(KEYS):
        finish(store, key, summary={"number": number})
    settle(tmp_path, KEYS[:-1])
    return store


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths that are read from the disk, in order."""
    paths: list[str] = []
    read: Callable[[LocalFolder, str], bytes] = LocalFolder.read

    def recorded(self: LocalFolder, path: str) -> bytes:
        paths.append(path)
        return read(self, path)

    monkeypatch.setattr(LocalFolder, "read", recorded)
    return paths


def contents(store: Store) -> dict[str, Any]:
    snapshot = store.snapshot()
    return {key: snapshot.record(key) for key in snapshot}


def test_an_indexed_store_is_read_in_one_file(store: Store, reads: list[str]) -> None:
    without = contents(store)
    assert len(reads) == len(KEYS) and len(without) == len(KEYS)
    assert store.compact(store.snapshot())
    reads.clear()
    assert contents(store) == without
    # The youngest record could still be rewritten within the resolution of its modification time.
    assert sorted(path.split("/")[0] for path in reads) == ["done", "index"]
    assert not store.compact()


def test_a_record_that_changed_is_read_anew(store: Store, tmp_path: Path) -> None:
    store.compact(store.snapshot())
    finish(store, KEYS[0], summary={"number": 9})  # of the same size
    settle(tmp_path, [KEYS[0]], age=1)
    store.discard(KEYS[1], None)
    finish(store, "f" * 64)
    found = contents(store)
    assert found[KEYS[0]]["summary"] == {"number": 9}
    assert KEYS[1] not in found and "f" * 64 in found and len(found) == len(KEYS)


def test_a_record_rewritten_within_the_resolution_of_its_time_is_not_indexed_too_early(
    store: Store, tmp_path: Path
) -> None:
    """As on S3: two versions of one size in one second look the same in a listing."""
    store.compact(store.snapshot(), always=True)
    path = tmp_path / f"done/{KEYS[-1]}.json"
    before = path.stat()
    finish(store, KEYS[-1], summary={"number": 999})
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert contents(store)[KEYS[-1]]["summary"] == {"number": 999}


def test_an_index_row_is_checked_like_the_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage that happened before the index was hashed (in memory) does not become a wrong record."""
    snapshot = store.snapshot()
    row = snapshot._done[KEYS[0]]
    snapshot._done[KEYS[0]] = row._replace(data=row.data.replace(b'"number":0', b'"number":7'))
    store.compact(snapshot)
    assert contents(store)[KEYS[0]]["summary"] == {"number": 0}


def test_compacting_leaves_one_index(store: Store, tmp_path: Path) -> None:
    for number in range(3):
        settle(tmp_path, KEYS[: number + 1], age=number)
        assert store.compact(store.snapshot(), always=True)
    assert len(list((tmp_path / "index").iterdir())) == 1
    assert not list(store.verify())


def test_what_is_collected_or_added_while_a_snapshot_is_taken_is_no_problem(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = {name: store.put_output(KEYS[0], name, name.encode(), "bin") for name in ("final", "lost")}
    finish(store, KEYS[0], outputs=outputs)
    settle(tmp_path, [KEYS[0]])
    store.compact(always=True)
    files: Callable[[LocalFolder, str], list[Any]] = LocalFolder.files

    def interleaved(self: LocalFolder, path: str) -> list[Any]:
        found = files(self, path)
        if path == "done":
            store.collect(KEYS[0], ["final"])
            (tmp_path / outputs["lost"]["path"]).unlink()
        if path == "outputs":
            monkeypatch.undo()
            finish(store, KEYS[-1], outputs={"it1": store.put_output(KEYS[-1], "it1", b"new", "bin")})
        return found

    monkeypatch.setattr(LocalFolder, "files", interleaved)
    snapshot = store.snapshot()
    first, last = snapshot.record(KEYS[0]), snapshot.record(KEYS[-1])
    assert first is not None and first["outputs"] == outputs
    assert last is not None and "it1" in last["outputs"]
    assert not snapshot.available(KEYS[0], "final") and not snapshot.available(KEYS[-1], "it1")
    assert [problem.output for problem in snapshot.problems] == ["lost"]
