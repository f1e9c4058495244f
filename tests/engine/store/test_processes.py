"""Writers that run at once, and writers that are killed: whatever is visible is whole."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.engine.store import Store
from pipeline.engine.store.records import Record

KEY = "a" * 64

WRITER = """
import sys
from pipeline.engine.store import Store
from pipeline.engine.store.records import Record

store, name = Store(sys.argv[1]), sys.argv[2]
for number in range(int(sys.argv[3])):
    key = sys.argv[4] or f"{name}{number}"
    outputs = {"final": store.put_output(key, "final", b"same bytes" * 20_000, "bin"),
               f"by_{name}": store.put_output(key, f"by_{name}", name.encode() * number, "bin")}
    store.checkpoints.write(key, name, number, bytes(100_000))
    store.documents.write("last", {"writer": name, "number": number})
    store.claims.claim(key, name)
    store.finish({"key": key, "fields": {}, "status": "ok", "outputs": outputs, "inputs": {},
                  "summary": {"by": name, "number": number}, "finished": 1})
    if number % 3 == 2 and not sys.argv[4]:
        store.collect(key, [f"by_{name}"])
    print(key, flush=True)
"""


def write(root: Path, name: str, times: int, key: str = "") -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(root), name, str(times), key]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_may_finish_one_stage_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    writers = [write(tmp_path, name, 60, KEY) for name in ("x", "y")]
    looked = 0
    while any(writer.poll() is None for writer in writers):
        snapshot = store.snapshot()
        assert not snapshot.problems
        if snapshot.done(KEY):
            assert len(store.read(KEY, "final")) == 200_000
            found = store.record(KEY)
            assert found is not None and found["summary"]["by"] in ("x", "y")
            looked += 1
    assert looked and [writer.wait() for writer in writers] == [0, 0]
    assert not [problem for problem in store.verify() if problem.severity == "error"]
    assert store.snapshot().available(KEY, "final")


def test_a_killed_writer_leaves_a_whole_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    random.seed(0)
    finished: set[str] = set()
    for attempt in range(10):
        with write(tmp_path, f"w{attempt}n", 100_000) as writer:
            assert writer.stdout is not None
            finished.add(writer.stdout.readline().strip())
            time.sleep(random.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
            said = writer.stdout.read()
        finished.update(said.split("\n")[:-1])
        snapshot = store.snapshot()
        assert not snapshot.problems
        assert all(snapshot.available(key, "final") for key in snapshot)
        assert finished <= set(snapshot)
    assert len(finished) >= 10
    assert not [problem for problem in store.verify() if problem.severity == "error"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_between_payload_and_record_the_stage_is_not_done(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        Store(tmp_path).put_output(KEY, "final", b"weights", "bin")
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    store = Store(tmp_path)
    assert not store.snapshot().done(KEY) and store.record(KEY) is None
    assert not list(store.verify()) and store.bytes_by_area()["outputs"] == 7


def interrupt(path: str) -> None:
    raise KeyboardInterrupt


def test_killed_between_mark_and_deletion_the_output_counts_as_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    outputs = {"final": store.put_output(KEY, "final", b"weights", "bin")}
    whole: Record = {
        "key": KEY,
        "fields": {},
        "status": "ok",
        "outputs": outputs,
        "inputs": {},
        "summary": {},
        "finished": 1,
    }
    store.finish(whole)
    with monkeypatch.context() as killed:
        killed.setattr(store.folder, "delete", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.collect(KEY, ["final"])
    assert not store.snapshot().available(KEY, "final")
    assert not list(store.verify()) and store.bytes_by_area()["outputs"] == 7


def test_the_store_imports_neither_torch_nor_ray(tmp_path: Path) -> None:
    program = (
        "import sys, json\nfrom pipeline.engine.store import Store\nStore(sys.argv[1]).snapshot()\n"
        "print(json.dumps([m for m in ('torch', 'ray', 'mlflow', 'pandas', 'pyarrow') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
