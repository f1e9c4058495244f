"""Where passwords may not be (the command line, a grid) they are refused, and what a run leaves behind has none."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STORE = "s3://AKIA:SECRET@bucket/store"
TRACKING = "postgresql://mlflow:SECRET@host/mlflow"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "tiny.yaml", "--store", STORE], "TICKETS_STORE"),
        (["plan", "tiny.yaml", f"--store={STORE}"], "TICKETS_STORE"),
        (["status", "tiny.yaml", "--store", "s3://bucket/x?secret_key=SECRET"], "TICKETS_STORE"),
        (["sync", "tiny.yaml", "--tracking", TRACKING], "MLFLOW_TRACKING_URI"),
        (["doctor", "--tracking", TRACKING], "MLFLOW_TRACKING_URI"),
        (["prepare", "digits", STORE], "AWS_SHARED_CREDENTIALS_FILE"),
        (["prepare", f"parquet:{STORE}", "out"], "AWS_SHARED_CREDENTIALS_FILE"),
    ],
)
def test_a_password_on_the_command_line_is_refused(
    fresh: Path, tickets: Callable[..., Any], arguments: list[str], told: str
) -> None:
    said = tickets(*arguments)
    assert said.code == 2
    assert "command lines" in said.err and told in said.err
    assert "SECRET" not in said.err + said.out


def test_a_password_in_the_environment_is_used_and_not_shown(
    fresh: Path, tickets: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKETS_STORE", STORE.replace("s3", "nonsense"))
    said = tickets("plan", "tiny.yaml")
    assert said.code == 2
    assert "nonsense://bucket/store" in said.err and "cannot be opened" in said.err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", TRACKING)
    monkeypatch.setenv("TICKETS_RAY_ADDRESS", "ray://user:SECRET@host:10001")
    facts = json.loads(tickets("doctor", "--json").out)
    assert facts["tracking"] == "postgresql://host/mlflow"
    assert facts["ray_address"] == "ray://host:10001"
    assert "SECRET" not in said.err + said.out + json.dumps(facts)


def test_a_password_in_a_grid_is_refused_with_its_line(fresh: Path, tickets: Callable[..., Any]) -> None:
    grid = fresh / "tiny.yaml"
    grid.write_text(
        grid.read_text().replace("{name: digits, classes: [0, 1, 2, 3, 4]}", f"{{name: parquet, path: '{STORE}'}}")
    )
    said = tickets("plan", "tiny.yaml")
    assert said.code == 2
    assert "tiny.yaml:7: sources.0.dataset.path: holds a password or a key" in said.err
    assert "SECRET" not in said.err
    said = tickets("plan", "tiny.yaml", "--set", f"sources.0.dataset.path={STORE}")
    assert said.code == 2 and "holds a password" in said.err and "SECRET" not in said.err


def test_a_run_keeps_nothing_of_its_environment(ran: tuple[Path, Any], secret: str) -> None:
    folder, said = ran
    assert said.code == 0, said.err
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {"mlflow.db", "report.html", "tiny.json"} <= {file.name for file in files}
    assert [file for file in files if secret.encode() in file.read_bytes()] == []
    assert secret not in said.out + said.err


def test_mlflow_is_told_no_command_line_and_no_name_of_a_user(ran: tuple[Path, Any]) -> None:
    with sqlite3.connect(ran[0] / ".tickets" / "mlflow.db") as database:
        keys = {key for (key,) in database.execute("SELECT DISTINCT key FROM tags UNION SELECT key FROM params")}
        users = {user for (user,) in database.execute("SELECT DISTINCT user_id FROM runs")}
    assert not keys & {"mlflow.source.name", "mlflow.user", "mlflow.source.type"}
    assert users <= {"", None, "unknown"}
