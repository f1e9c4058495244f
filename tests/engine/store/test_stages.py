"""Finished stages: what was written is what is read, and a stage is done when its record is there."""

import hashlib
import pickle
from pathlib import Path
from typing import Any, cast

import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem, _MockFileSystem

from pipeline.engine.store import MissingOutput, Store
from pipeline.engine.store.records import Record
from pipeline.experiment.errors import UserError

KEY = "a" * 64


@pytest.fixture(params=["path", "file uri", "remote", "mock"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """One store on each kind of folder; the last two take the way that object stores take."""
    if request.param == "remote":
        return Store("bucket/store", filesystem=SubTreeFileSystem(str(tmp_path), LocalFileSystem()))
    if request.param == "mock":
        return Store("bucket/store", filesystem=_MockFileSystem())
    return Store(tmp_path / "store" if request.param == "path" else f"file://{tmp_path}/store")


def record(key: str = KEY, **changes: Any) -> Record:
    whole = {
        "key": key,
        "fields": {"kind": "train"},
        "label": "a stage",
        "status": "ok",
        "outputs": {},
        "inputs": {},
        "summary": {"test_accuracy": 0.5},
        "finished": 1.0,
    }
    return cast(Record, {**whole, **changes})


def finish(store: Store, key: str = KEY, **outputs: bytes) -> Record:
    entries = {name: store.put_output(key, name, data, "bin") for name, data in outputs.items()}
    return store.finish(record(key, outputs=entries))


def finished(store: Store) -> Record:
    found = store.record(KEY)
    assert found is not None
    return found


def test_reads_what_was_written(store: Store) -> None:
    finish(store, final=b"weights", history=b"[]")
    assert store.read_hashed(KEY, "final") == (b"weights", hashlib.sha256(b"weights").hexdigest())
    assert store.read(KEY, "final") == b"weights"
    assert finished(store)["summary"] == {"test_accuracy": 0.5}
    snapshot = store.snapshot()
    assert snapshot.done(KEY) and snapshot.status(KEY) == "ok" and list(snapshot) == [KEY]
    assert snapshot.available(KEY, "final") and not snapshot.available(KEY, "it500")
    assert snapshot.record(KEY) == store.record(KEY)
    assert not snapshot.problems and not list(store.verify())


def test_an_unknown_stage_is_not_done(store: Store) -> None:
    snapshot = store.snapshot()
    assert not snapshot.done(KEY) and not snapshot.available(KEY, "final")
    assert snapshot.record(KEY) is None and snapshot.status(KEY) is None
    assert store.record(KEY) is None
    with pytest.raises(MissingOutput, match="not done"):
        store.read(KEY, "final")


def test_payloads_without_a_record_are_not_done(store: Store) -> None:
    store.put_output(KEY, "final", b"weights", "bin")
    assert not store.snapshot().done(KEY)
    assert not [problem for problem in store.verify() if problem.severity == "error"]
    finish(store, final=b"weights")
    assert store.read(KEY, "final") == b"weights"


def test_finishing_again_keeps_outputs_that_still_exist(store: Store) -> None:
    finish(store, final=b"old", it500=b"early", it900=b"late", gone=b"gone")
    store.discard(KEY, "gone")
    store.collect(KEY, ["it900", "history"])
    finish(store, final=b"new", history=b"[]")
    outputs = finished(store)["outputs"]
    assert store.read(KEY, "final") == b"new" and store.read(KEY, "it500") == b"early"
    assert outputs["it900"] == {"collected": True} and "gone" not in outputs
    finish(store, it900=b"late")
    assert store.read(KEY, "it900") == b"late" and store.read(KEY, "final") == b"new"
    store.finish(record(outputs=outputs))  # by someone who has not seen that it900 is there again
    assert store.read(KEY, "it900") == b"late"


def test_a_stage_that_two_drivers_made_is_of_the_first(store: Store) -> None:
    """The second may have begun before the first ended, and what was logged of the first would be there twice."""
    outputs = {"history": store.put_output(KEY, "history", b"[]", "json")}
    store.finish(record(outputs=outputs, finished=1.0, driver="first"))
    again = store.finish(record(outputs=outputs, finished=2.0, driver="second"))
    assert again == finished(store) and (again["finished"], again["driver"]) == (1.0, "first")
    store.finish(record(outputs=outputs, finished=3.0, summary={"test_loss": 0.5}))
    assert finished(store)["finished"] == 3.0


def test_collected_outputs_are_gone_and_the_rest_stays(store: Store) -> None:
    finish(store, final=b"weights", history=b"[]")
    store.collect(KEY, ["final", "never made"])
    snapshot = store.snapshot()
    assert snapshot.done(KEY) and snapshot.available(KEY, "history") and not snapshot.available(KEY, "final")
    with pytest.raises(MissingOutput, match="to save space"):
        store.read(KEY, "final")
    assert store.bytes_by_area()["outputs"] == len(b"[]")
    assert not list(store.verify()) and not snapshot.problems
    store.collect("b" * 64, ["final"])
    assert not store.snapshot().done("b" * 64)


def test_what_was_collected_before_a_second_driver_finished_the_stage_stays_collected(store: Store) -> None:
    """A lane may outlive its driver for a moment, while the next one makes the stage, reads it and collects it."""
    late = record(outputs={"final": store.put_output(KEY, "final", b"weights", "bin")})
    store.finish(late)
    store.collect(KEY, ["final"])
    store.finish(late)
    assert finished(store)["outputs"] == {"final": {"collected": True}}
    assert not store.snapshot().problems and not list(store.verify())
    finish(store, final=b"weights")
    assert store.read(KEY, "final") == b"weights"


@pytest.mark.parametrize("damaged", [b"wei", b"weights"[::-1]])
def test_a_damaged_payload_is_written_over(tmp_path: Path, damaged: bytes) -> None:
    store = Store(tmp_path)
    path = tmp_path / store.put_output(KEY, "final", b"weights", "bin")["path"]
    path.write_bytes(damaged)
    store.put_output(KEY, "final", b"weights", "bin")
    assert path.read_bytes() == b"weights"


def test_a_diverged_loss_is_recorded_as_null(store: Store) -> None:
    store.finish(record(status="diverged", summary={"test_loss": float("nan"), "curve": [float("inf"), 1.5]}))
    assert finished(store)["summary"] == {"test_loss": None, "curve": [None, 1.5]}
    assert store.snapshot().status(KEY) == "diverged"


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "failed"},
        {"fields": None},
        {"outputs": {"final": {"path": "elsewhere"}}},
        {"outputs": {"final": {"path": "outputs/x/final.0.bin", "sha256": "0", "size": 1}}},
    ],
)
def test_a_record_that_nobody_could_read_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=KEY):
        Store(tmp_path).finish(record(**changes))
    assert not Store(tmp_path).snapshot().done(KEY)


def test_documents(store: Store) -> None:
    assert store.documents.read("mlflow/runs") is None
    store.documents.write("mlflow/runs", {"a → b": 1})
    store.documents.write("mlflow/runs", {"a → b": 2})
    store.documents.write("other", [1])
    assert store.documents.read("mlflow/runs") == {"a → b": 2}
    assert store.documents.read("other") == [1]
    assert not list(store.verify())


@pytest.mark.parametrize("name", ["../escape", "/root", "a//b", "", ".hidden", "a/../b"])
def test_documents_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="file name"):
        Store(tmp_path).documents.write(name, 1)


def test_checkpoints_keep_the_newest_two_of_each_attempt(store: Store) -> None:
    assert store.checkpoints.best(KEY) is None
    for iteration in (9, 100, 1000):
        store.checkpoints.write(KEY, "first", iteration, f"first {iteration}".encode())
    store.checkpoints.write(KEY, "second", 500, b"second 500")
    assert store.checkpoints.best(KEY) == (1000, b"first 1000")
    assert len(store.folder.files("checkpoints")) == 3
    store.checkpoints.write("b" * 64, 1, 5, b"other stage")
    store.checkpoints.drop(KEY)
    assert store.checkpoints.best(KEY) is None and store.checkpoints.best("b" * 64) == (5, b"other stage")
    store.checkpoints.drop(KEY)


def test_a_relative_path_means_the_same_after_the_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("some/store")
    finish(store, final=b"weights")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert pickle.loads(pickle.dumps(store)).read(KEY, "final") == b"weights"
    assert Store(store.uri).read(KEY, "final") == b"weights"


def test_a_store_on_a_given_file_system_survives_pickling(tmp_path: Path) -> None:
    store = Store("s", filesystem=SubTreeFileSystem(str(tmp_path), LocalFileSystem()), stale_after=7)
    finish(store, final=b"weights")
    again = pickle.loads(pickle.dumps(store))
    assert again.read(KEY, "final") == b"weights" and again.drivers.stale_after == 7


def test_errors_survive_pickling(tmp_path: Path) -> None:
    with pytest.raises(MissingOutput) as caught:
        Store(tmp_path).read(KEY, "final")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.key, again.output, again.path) == (KEY, "final", f"done/{KEY}.json") and str(again) == str(
        caught.value
    )


def test_an_address_that_cannot_be_used_says_what_can(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for uri in (tmp_path / "file", tmp_path / "file" / "below", "http://example.org/store", "nonsense://x", "://"):
        with pytest.raises(UserError, match=r"cannot be opened.*s3://bucket"):
            Store(uri)
    with pytest.raises(UserError) as caught:
        Store("nonsense://user:secret@bucket/store")
    assert "secret" not in str(caught.value)
