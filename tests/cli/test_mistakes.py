"""A mistake is answered in words: what, where, what to do; exit code 2, no stack trace, nothing started."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FILES: dict[str, str | bytes] = {
    "bad.yaml": "name: [a\n",
    "key.yaml": "name: x\nmodle: lenet\n",
    "binary.yaml": b"\xff\xfe\x00",
    "a-file": "",
}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["plan", "nothere.yaml"], ["nothere.yaml", "no such file"]),
        (["plan", "a-folder"], ["a-folder", "folder", "YAML"]),
        (["plan", "bad.yaml"], ["bad.yaml:2", "not valid YAML"]),
        (["plan", "key.yaml"], ["key.yaml:2", "modle", "Did you mean 'model'?"]),
        (["plan", "binary.yaml"], ["binary.yaml", "not UTF-8"]),
        (["plan", "tiny.yaml", "--set", "foo"], ["--set foo", "key.path=value"]),
        (["plan", "tiny.yaml", "--set", "sedes=[1]"], ["--set sedes=[1]", "Did you mean 'seeds'?"]),
        (["plan", "tiny.yaml", "--set", "seeds=x"], ["--set seeds=x", "list"]),
        (["plan", "tiny.yaml", "--store", "a-file"], ["a-file", "cannot be opened", "--store"]),
        (["run", "tiny.yaml", "--local", "--store", "a-file/below"], ["a-file/below", "cannot be opened", "--store"]),
        (["plan", "tiny.yaml", "--store", "nonsense://x"], ["nonsense://x", "--store"]),
        (["run", "tiny.yaml", "--local", "--tracking", "nonsense://x"], ["nonsense://x", "sqlite:///"]),
        (["run", "tiny.yaml", "--local", "--tracking", "folder"], ["folder", "sqlite:///"]),
        (["run", "tiny.yaml", "--local", "--tracking", "sqlite:///a-file/x.db"], ["a-file", "--tracking"]),
        (["sync", "tiny.yaml", "--tracking", "none"], ["--tracking none", "database"]),
        (["ui", "--tracking", "sqlite:///nothere.db"], ["nothere.db", "tickets sync"]),
        (["report", "tiny.yaml", "--store", "a-folder", "--reports", "a-file"], ["a-file", "--reports"]),
        (["export", "tiny.yaml", "out", "--store", "a-folder"], ["low seed 0 round 2", "'mask'", "tickets run"]),
        (["show", "abc", "--store", "a-folder"], ["'abc'", "tickets plan"]),
    ],
)
def test_a_mistake_is_explained(
    fresh: Path, tickets: Callable[..., Any], arguments: list[str], parts: list[str]
) -> None:
    for name, content in FILES.items():
        (fresh / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (fresh / "a-folder").mkdir()
    said = tickets(*arguments)
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    assert [part for part in parts if part not in said.err] == []
    assert not (fresh / ".tickets" / "store" / "done").exists()


@pytest.mark.parametrize("arguments", [["plan"], ["nope"], ["run", "tiny.yaml", "--lanes", "0"], ["plan", "--nope"]])
def test_a_wrong_call_points_to_the_help(fresh: Path, tickets: Callable[..., Any], arguments: list[str]) -> None:
    said = tickets(*arguments)
    assert said.code == 2
    assert "--help" in said.err and "Error: " in said.err and "Traceback" not in said.err


def test_what_the_operating_system_refuses_is_one_sentence(
    fresh: Path, tickets: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device", "somewhere/file")

    monkeypatch.setattr("pipeline.engine.store.Store.snapshot", refuse)
    said = tickets("plan", "tiny.yaml")
    assert said.code == 2
    assert said.err.startswith("error: somewhere/file: No space left on device.")
    assert "Traceback" not in said.err


def test_a_port_that_is_taken_is_said_before_mlflow_starts(finished: Path, tickets: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = tickets("ui", "--port", port)
    assert said.code == 2
    assert port in said.err and "--port" in said.err


def test_missing_data_names_the_files_and_the_remedy(fresh: Path, tickets: Callable[..., Any]) -> None:
    (fresh / "a-file").touch()  # no folder can be made below it: fails at once, network or not
    mnist = ["--set", "sources=[{name: m, dataset: mnist}]", "--set", "seeds=[0]"]
    said = tickets("run", "tiny.yaml", "--local", "--tracking", "none", "--data", "a-file", *mnist)
    assert said.code == 2
    for part in ("1 data set is not there", "train-images-idx3-ubyte.gz", "--data or TICKETS_DATA"):
        assert part in said.err
    assert "Traceback" not in said.err and "failed" not in said.out
