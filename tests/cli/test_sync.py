"""`tickets sync` rebuilds MLflow from the store, and does nothing where nothing is missing."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_sync_logs_everything_once(finished: Path, tickets: Callable[..., Any]) -> None:
    (finished / ".tickets" / "mlflow.db").unlink()
    shutil.rmtree(finished / ".tickets" / "artifacts", ignore_errors=True)
    first = tickets("sync", "tiny.yaml")
    assert first.code == 0, first.err
    assert "has all of 'tiny'" in first.out and " 0 runs made" not in first.out
    assert list((finished / ".tickets" / "artifacts").rglob("curves.png")), "the report is an artifact again"
    again = tickets("sync", "tiny.yaml")
    assert "0 runs made, 0 points logged, 0 runs removed" in again.out
