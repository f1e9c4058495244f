"""One small finished grid, and two ways to give commands: in this process, and as a person does."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.report.stills import figures

GRID = """
name: tiny
model: lenet-20-10
seeds: [0, 1]
training: {optimizer: {name: sgd, lr: 0.1}, batch_size: 64, length: 2ep, record_every: 1ep}
prune: {rate: 0.4, rounds: 2, rewind: 5it}
sources: [{name: low, dataset: {name: digits, classes: [0, 1, 2, 3, 4]}}]
targets: same
tickets: [winning, random]
"""
SETTINGS = ("TICKETS_STORE", "TICKETS_DATA", "TICKETS_RAY_ADDRESS", "MLFLOW_TRACKING_URI", "COLUMNS", "FORCE_COLOR")
SECRET = "SECRET-of-the-environment"
SECRETS = {"AWS_SECRET_ACCESS_KEY": SECRET, "MLFLOW_TRACKING_PASSWORD": SECRET, "RAY_AUTH_TOKEN": SECRET}
ENTRY = [sys.executable, "-c", "from pipeline.cli import main; main()"]
HUNG = 600
"""Seconds after which a command is taken to hang: on a machine that runs other tests, ten times what it needs."""
DRAWN = {name: figures.drawn()[name] for name in ("curves", "sensitivity")}
"""Stills of reports that are made in this process: all ten take four seconds a report."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in SETTINGS}


def as_process(folder: Path, *arguments: str, entry: list[str] = ENTRY) -> Said:
    command, settings = [*entry, *arguments], environment() | SECRETS
    said = subprocess.run(command, cwd=folder, env=settings, text=True, capture_output=True, timeout=HUNG)
    return Said(said.returncode, said.stdout, said.stderr)


def reporting(*modules: str) -> list[str]:
    """An entry point that ends with the line `imported: ...` on standard error."""
    watched = f"[name for name in {modules!r} if name in sys.modules]"
    ending = f"print('imported:', *{watched}, file=sys.stderr)"
    return [sys.executable, "-c", f"import sys\nfrom pipeline.cli import main\ntry:\n main()\nfinally:\n {ending}"]


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A working directory in which `tickets run tiny.yaml --local` has just ended, and what it said. Do not change.

    Its last line says which of Ray and torch the run has imported.
    """
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yaml").write_text(GRID)
    return folder, as_process(folder, "run", "tiny.yaml", "--local", entry=reporting("ray", "torch"))


@pytest.fixture(scope="session")
def secret() -> str:
    """What the environment of every command has as its passwords."""
    return SECRET


@pytest.fixture
def finished(ran: tuple[Path, Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a copy of the finished one."""
    folder = tmp_path / "work"
    shutil.copytree(ran[0], folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a grid that has not run."""
    (tmp_path / "tiny.yaml").write_text(GRID)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tickets(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Give a command in this process, in the current directory. Of a report's stills it draws few."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(figures, "drawn", lambda: DRAWN)

    def give(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["tickets", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return give


@pytest.fixture(scope="session")
def begin(fork: Callable[..., Any]) -> Callable[..., Any]:
    """Start a command as a process of its own: `begin(folder, *arguments)`."""
    return lambda folder, *arguments: fork(folder, *arguments, environment=environment())


@pytest.fixture(scope="session")
def interpreter() -> Callable[..., Said]:
    """Give a command to an interpreter of its own, which has imported nothing: `interpreter(folder, *arguments)`.

    `watching=modules`: the last line that it prints to standard error is `imported: ...`, of these.
    """

    def give(folder: Path, *arguments: str, watching: tuple[str, ...] = ()) -> Said:
        return as_process(folder, *arguments, entry=reporting(*watching) if watching else ENTRY)

    return give
