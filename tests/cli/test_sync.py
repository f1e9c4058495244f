"""`tickets sync` rebuilds MLflow from the store, and does nothing where nothing is missing."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NET = """
import os
import torch

class Net(torch.nn.Module):
    def __init__(self, *given, **named):
        super().__init__()
        self.body, self.head = torch.nn.Linear(64, 8), torch.nn.Linear(8, 5)

    def forward(self, images):
        if len(images) > 2 and "BROKEN" in os.environ:  # planning looks at two
            raise RuntimeError("the cause")
        return self.head(torch.relu(self.body(images.flatten(1))))
"""
MENDED = """
name: mended
model: net.py:Net
seeds: [0]
training: {optimizer: {name: sgd, lr: 0.1}, batch_size: 64, length: 5it}
prune: {rate: 0.4, rounds: 1, rewind: 0it}
sources: [{name: low, dataset: {name: digits, classes: [0, 1, 2, 3, 4]}}]
targets: same
tickets: [winning]
"""
RUNS = """
    SELECT runs.name, runs.status FROM runs JOIN experiments USING (experiment_id)
    WHERE experiments.name = 'mended' AND runs.lifecycle_stage = 'active' ORDER BY runs.name
"""


def test_sync_logs_everything_once(finished: Path, tickets: Callable[..., Any]) -> None:
    (finished / ".tickets" / "mlflow.db").unlink()
    shutil.rmtree(finished / ".tickets" / "artifacts", ignore_errors=True)
    first = tickets("sync", "tiny.yaml")
    assert first.code == 0, first.err
    assert "has all of 'tiny'" in first.out and " 0 runs made" not in first.out
    assert list((finished / ".tickets" / "artifacts").rglob("curves.png")), "the report is an artifact again"
    again = tickets("sync", "tiny.yaml")
    assert "0 runs made, 0 points logged, 0 runs removed" in again.out


def test_what_failed_and_was_mended_is_in_mlflow(
    finished: Path, tickets: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was new to MLflow when the second run began: what it found is."""

    def runs() -> list[tuple[str, str]]:
        with contextlib.closing(sqlite3.connect(finished / ".tickets" / "mlflow.db")) as database:
            return database.execute(RUNS).fetchall()

    (finished / "net.py").write_text(NET)
    (finished / "grid.yaml").write_text(MENDED)
    monkeypatch.setenv("BROKEN", "yes")
    assert tickets("run", "grid.yaml", "--local").code == 1
    assert runs() == [("report", "FINISHED")]
    monkeypatch.delenv("BROKEN")
    assert tickets("run", "grid.yaml", "--local").code == 0
    found = runs()
    assert {name for name, _ in found} > {"dense on low, sgd", "low -> low, winning, sgd, seed 0", "report"}
    assert len(dict(found)) == len(found) == 5 and {status for _, status in found} == {"FINISHED"}


def test_a_damaged_database_is_told_by_sync_and_ui_with_what_to_do(finished: Path, tickets: Callable[..., Any]) -> None:
    database = finished / ".tickets" / "mlflow.db"
    database.write_bytes(database.read_bytes()[:100_000])
    for command in (("sync", "tiny.yaml"), ("ui", "--port", "1")):
        said = tickets(*command)
        assert said.code == 2
        assert "damaged (database disk image is malformed). Move it away" in said.err
        assert "Traceback" not in said.err and "sqlalchemy" not in said.err
