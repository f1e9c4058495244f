"""`tickets sync` rebuilds MLflow from the store, and does nothing where nothing is missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_sync_logs_everything_once(finished: Path, tickets: Callable[..., Any]) -> None:
    (finished / ".tickets" / "mlflow.db").unlink()
    first = tickets("sync", "tiny.yaml")
    assert first.code == 0, first.err
    assert "has all of 'tiny'" in first.out and " 0 runs made" not in first.out
    again = tickets("sync", "tiny.yaml")
    assert "0 runs made, 0 points logged, 0 runs removed" in again.out
