"""A run on an S3 store: killed, left by its store, run again where requests fail, it gives a folder's bits."""

import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pipeline.cli import main
from pipeline.engine.driver import Listener, RunOptions, run
from pipeline.engine.store import Store, patience, records, snapshot
from pipeline.experiment.collections import open_work


def results(store: Store) -> dict[str, Any]:
    """For each stage its status, summary and the hashes of what is kept."""
    snapshot, found = store.snapshot(), {}
    assert not snapshot.problems
    for key in snapshot:
        record = snapshot.record(key)
        assert record is not None
        outputs = {name: out["sha256"] for name, out in record["outputs"].items() if "path" in out}
        found[key] = (record["status"], record["summary"], outputs)
    return found


def started(store: Store) -> dict[str, float]:
    snapshot = store.snapshot()
    return {key: record["started"] for key in snapshot if (record := snapshot.record(key)) is not None}


def holds(folder: Path, secret: str) -> list[str]:
    return [str(file) for file in folder.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]


def put_records(store: Store, count: int) -> None:
    for number in range(count):
        whole: records.Record = {
            "key": f"{number:064x}",
            "fields": {"kind": "prune"},
            "status": "ok",
            "outputs": {},
            "inputs": {},
            "summary": {},
            "finished": 1,
        }
        store.folder.write(f"done/{number:064x}.json", records.encode(whole))


@pytest.fixture
def command(quickstart: Callable[..., list[str]]) -> list[str]:
    return ["run", *quickstart("seeds=[0]"), "--local", "--tracking", "none"]


@pytest.fixture
def in_a_folder(quickstart: Callable[..., list[str]], unheard: Listener, tmp_path: Path) -> Path:
    """A store on this disk in which the same has run, undisturbed."""
    file, *changes = quickstart("seeds=[0]")
    work = open_work(Path(file), changes[1::2], Path("data"))
    assert run(work, RunOptions(str(tmp_path / "folder"), Path("data"), local=True), unheard).exit_code == 0
    return tmp_path / "folder"


@pytest.fixture
def give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """A command in this process: its exit code, and all that it said."""
    monkeypatch.chdir(tmp_path)

    def go(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["tickets", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), "".join(capsys.readouterr())

    return go


def test_a_plan_asks_once_for_each_record_and_once_more_for_all_that_are_indexed(
    s3: Any, give: Callable[..., tuple[int, str]], quickstart: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """These were 210 requests for 102 finished stages, one for the size of each record and one for its bytes."""
    uri = "s3://tickets/finished"
    store = Store(uri)
    put_records(store, 102)

    def requests_of_a_plan() -> list[str]:
        s3.proxy.seen.clear()
        code, said = give("plan", quickstart()[0], "--store", uri)
        assert code == 0, said
        return [method for method, _, _ in s3.proxy.seen]

    alone = requests_of_a_plan()
    assert len(alone) <= 108 and alone.count("HEAD") <= 1
    monkeypatch.setattr(snapshot, "_SETTLED_NS", 0)  # else those of the last two seconds are left out of the index
    assert store.compact(), "a run of so many stages leaves an index behind"
    indexed = requests_of_a_plan()
    assert len(indexed) <= 8


def test_what_a_record_has_become_since_it_was_listed_is_read(s3: Any) -> None:
    """The one request is made with the listed size; the record may be another by then, of any size, or gone."""
    folder = Store("s3://tickets/changing").folder
    for now in (
        b'{"a":"longer than before"}\n',
        b'{"a"}\n',
        b"",
        b"no end",
        b"two\nlines\n",
        b"\xef\xbb\xbfab\n",
        b"ab\r\nc",
    ):
        folder.write("done/x.json", b'{"a":1.0}\n')
        (listed,) = folder.files("done")
        folder.write("done/x.json", now)
        assert folder.read_line(listed) == now
        (listed,) = folder.files("done")
        assert folder.read_line(listed) == now
    folder.delete("done/x.json")
    with pytest.raises(FileNotFoundError):
        folder.read_line(listed)


def test_killed_and_left_by_its_store_a_run_goes_on_to_the_bits_that_a_folder_gives(
    s3: Any,
    command: list[str],
    in_a_folder: Path,
    fork: Callable[..., Any],
    give: Callable[..., tuple[int, str]],
    wait_until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    uri = "s3://tickets/quickstart"
    expected, store = results(Store(in_a_folder)), Store(uri)

    killed = fork(tmp_path, *command, "--store", uri, environment=s3.environment(), merged=True)
    wait_until(lambda: len(store.folder.files("done")) >= 3, 120, "some stages are done")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    first = started(store)
    assert 3 <= len(first) < len(expected)

    records: set[str] = set()

    def leave(method: str, path: str) -> str | None:
        """Everything fails once some more stages are done."""
        records.update([path] if method == "PUT" and "/done/" in path else [])
        return "503 SlowDown" if len(records) > 5 else None

    monkeypatch.setattr(patience, "PATIENCE", 1.0)
    s3.proxy.fault = leave
    code, said = give(*command, "--store", uri)
    assert code == 75, said
    assert f"The store {uri} has not answered for" in said and "give the same command again" in said
    assert "Traceback" not in said and "failed: " not in said
    s3.proxy.fault = lambda method, path: None
    second = started(store)
    assert first.items() < second.items() and len(second) < len(expected)

    chance, requests = random.Random(0), [0]

    def disturb(method: str, path: str) -> str | None:
        requests[0] += 1
        faults = ("500 InternalError", "503 SlowDown", "reset", "truncate")
        return chance.choice(faults) if chance.random() < 0.05 else None

    s3.proxy.fault = disturb
    secretly = f"s3://{s3.key}:{quote(s3.secret, safe='')}@tickets/quickstart"
    alone = s3.environment(TICKETS_STORE=secretly, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    last = fork(tmp_path, *command, environment=alone, merged=True)
    try:
        wait_until(lambda: requests[0] > 150, 120, "the run is under way")
        s3.proxy.away()
        wait_until(lambda: f"The store {uri} does not answer" in last.said(), 60, "the run waits")
        s3.proxy.back()
        said = last.communicate(timeout=300)[0]
    finally:
        last.kill()
    assert last.returncode == 0, said
    assert f"The store {uri} answers again" in said
    s3.proxy.fault = lambda method, path: None
    assert results(store) == expected
    assert second.items() <= started(store).items(), "no finished stage ran again"
    assert [problem for problem in store.verify() if problem.severity == "error"] == []

    assert s3.secret not in said and quote(s3.secret, safe="") not in said
    assert holds(tmp_path, s3.secret) == holds(tmp_path, quote(s3.secret, safe="")) == []
    assert not [file.path for file in store.folder.files("") if s3.secret.encode() in store.folder.read(file.path)]


def test_an_archive_goes_from_a_folder_through_an_object_to_a_store_on_s3_and_back(
    s3: Any, in_a_folder: Path, give: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    on_s3, address = "s3://tickets/imported", "s3://tickets/files/quickstart.zip"
    file, again = tmp_path / "a.zip", tmp_path / "b.zip"
    assert give("archive", "quickstart", str(file), "--store", str(in_a_folder))[0] == 0
    assert give("archive", "quickstart", address, "--store", str(in_a_folder))[0] == 0
    assert give("import", address, "--store", on_s3)[0] == 0
    assert results(Store(on_s3)) == results(Store(in_a_folder))
    assert give("archive", "quickstart", str(again), "--store", on_s3)[0] == 0
    assert again.read_bytes() == file.read_bytes()
    code, said = give("import", "s3://tickets/files/none.zip", "--store", on_s3)
    assert code == 2 and "There is no file s3://tickets/files/none.zip" in said
    code, said = give("archive", "quickstart", "s3://none-such/a.zip", "--store", str(in_a_folder))
    assert code == 2 and "Traceback" not in said
