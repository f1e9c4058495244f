"""MLflow as a server of its own, on PostgreSQL, with passwords: what a run logs there, and what its absence costs."""

import base64
import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text

from pipeline.engine.store import Store
from pipeline.engine.tracking.access import check_access
from pipeline.experiment.errors import UserError

ADMIN, RESEARCHER, DATABASE = "an-admin's-password", "a-researcher's-password", "a-database's-password"
RUNS = """
    SELECT runs.run_uuid, keys.value, runs.name, status, start_time, end_time FROM runs
    JOIN experiments USING (experiment_id) JOIN tags AS keys ON keys.run_uuid = runs.run_uuid
    WHERE experiments.name = 'quickstart' AND runs.lifecycle_stage = 'active' AND keys.key = 'ticket_transfer.key'
"""
OURS = ("ticket_transfer.", "source", "target", "ticket", "model", "seed", "mlflow.runColor")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """`mlflow server` with users: an administrator, and a researcher who is nobody in particular."""

    folder: Path
    database: str
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, password: str = RESEARCHER) -> dict[str, str]:
        """For a process of the researcher's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "TICKETS_"))}
        return kept | {"MLFLOW_TRACKING_USERNAME": "researcher", "MLFLOW_TRACKING_PASSWORD": password}

    def start(self) -> None:
        secrets = {
            "MLFLOW_BACKEND_STORE_URI": f"{self.database}/tracking",
            "MLFLOW_AUTH_CONFIG_PATH": str(self.folder / "auth.ini"),
            "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "for forms in browsers",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1", "--allowed-hosts", f"127.0.0.1:{self.port}"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        log = (self.folder / "log").open("a")
        self.process = subprocess.Popen(
            command, stdout=log, stderr=log, env=os.environ | secrets, start_new_session=True
        )

    def is_up(self) -> bool:
        assert self.process is not None and self.process.poll() is None, (self.folder / "log").read_text()
        with contextlib.suppress(OSError):
            return bool(urllib.request.urlopen(f"{self.uri}/health", timeout=1).status == 200)
        return False

    def kill(self) -> None:
        """All its processes at once."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def create_user(self, name: str, password: str) -> None:
        who = base64.b64encode(f"admin:{ADMIN}".encode()).decode()
        asked = urllib.request.Request(
            f"{self.uri}/api/2.0/mlflow/users/create",
            json.dumps({"username": name, "password": password}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Basic {who}"},
        )
        urllib.request.urlopen(asked).close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A cluster of its own, as a user who is not root: its address, without a database."""
    found = [*sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True), shutil.which("initdb")]
    if found[0] is None:
        pytest.skip("needs PostgreSQL: install it (Debian, Ubuntu: apt-get install postgresql)")
    programs, port = Path(found[0]).parent, free_port()
    folder = Path(tempfile.mkdtemp(prefix="ticket-transfer-postgres-"))
    word = folder / "password"
    word.write_text(DATABASE)
    as_user: dict[str, Any] = {}
    if os.getuid() == 0:  # which PostgreSQL refuses
        user = pwd.getpwnam("postgres")
        for path in (folder, word):
            os.chown(path, user.pw_uid, user.pw_gid)
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    options = ["-U", "mlflow", "--pwfile", str(word), "--auth", "scram-sha-256", "-E", "UTF8", "--no-sync"]
    data, log = folder / "data", (folder / "log").open("w")
    server = None
    try:
        subprocess.run([programs / "initdb", "-D", data, *options], check=True, stdout=log, stderr=log, **as_user)
        settings = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k", str(folder), "-p", str(port)]
        server = subprocess.Popen([programs / "postgres", "-D", data, *settings], stdout=log, stderr=log, **as_user)
        yield f"postgresql+psycopg2://mlflow:{DATABASE}@127.0.0.1:{port}"
    finally:
        if server is not None:
            server.send_signal(signal.SIGINT)  # a fast shutdown
            server.wait(60)
        log.close()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server(
    postgres: str, tmp_path_factory: pytest.TempPathFactory, wait_until: Callable[..., None]
) -> Iterator[Server]:
    pytest.importorskip("flask_wtf")
    folder = tmp_path_factory.mktemp("mlflow")
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = NO_PERMISSIONS\nadmin_username = admin\nauth_cache_ttl_seconds = 60\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        f"database_uri = {postgres}/users\n"
    )
    admin = create_engine(f"{postgres}/postgres", isolation_level="AUTOCOMMIT")
    wait_until(lambda: answers(admin), 60, "PostgreSQL answers")
    with admin.connect() as connection:
        for name in ("tracking", "users"):
            connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    running = Server(folder, postgres)
    running.start()
    try:
        wait_until(running.is_up, 300, "MLflow answers")
        running.create_user("researcher", RESEARCHER)
        yield running
    finally:
        running.kill()


def answers(engine: Any) -> bool:
    with contextlib.suppress(Exception):
        engine.connect().close()
        return True
    return False


def shown(database: str) -> dict[str, Any]:
    """All that MLflow shows of the quickstart's runs, each point of each metric as often as it is there."""
    engine = create_engine(database)
    found = {}
    with engine.connect() as connection:
        rows = connection.execute(text(RUNS)).all()
        keys = {row[0]: row[1] for row in rows}
        for run, key, name, status, begun, ended in rows:
            one = {"run": run}
            points = text("SELECT key, step, timestamp, value FROM metrics WHERE run_uuid = :run ORDER BY 1, 2, 3, 4")
            labels = text("SELECT key, value FROM params WHERE run_uuid = :run ORDER BY 1")
            own = text("SELECT key, value FROM tags WHERE run_uuid = :run")
            tags: dict[str, str] = {row[0]: row[1] for row in connection.execute(own, one)}
            assert key not in found, "two runs of one key"
            found[key] = {
                "name": name,
                "status": status,
                "times": None if name == "report" else (begun, ended),
                "points": [tuple(point) for point in connection.execute(points, one)],
                "labels": [tuple(label) for label in connection.execute(labels, one)],
                "tags": {tag: value for tag, value in tags.items() if tag.startswith(OURS)},
                "parent": keys.get(tags.get("mlflow.parentRunId", "")),
            }
    engine.dispose()
    return found


def everything(database: str) -> str:
    """Each value in each table."""
    engine = create_engine(database)
    with engine.connect() as connection:
        tables = inspect(engine).get_table_names()
        rows = [str(row) for table in tables for row in connection.execute(text(f'SELECT * FROM "{table}"'))]
    engine.dispose()
    return "\n".join(rows)


def artifacts(folder: Path) -> list[str]:
    """Names of files that runs have, without the runs' ids."""
    return sorted(str(file).rpartition("/artifacts/")[2] for file in folder.rglob("*") if file.is_file())


def test_a_wrong_password_is_refused_before_anything_runs(
    server: Server, quickstart: Callable[..., list[str]], fork: Callable[..., Any], tmp_path: Path
) -> None:
    theirs = {"environment": server.environment("a-wrong-password"), "merged": True}
    run = fork(tmp_path, "run", *quickstart(), "--local", "--tracking", server.uri, **theirs)
    said = run.communicate(timeout=300)[0]
    assert run.returncode == 2, said
    assert f"error: MLflow at {server.uri} refuses: it does not know this user with this password. Set" in said
    assert "MLFLOW_TRACKING_PASSWORD" in said and "a-wrong-password" not in said and "Traceback" not in said
    assert not (tmp_path / ".tickets" / "store" / "done").exists()


def test_a_name_that_the_server_does_not_go_by_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    check_access(server.uri, "quickstart")
    with pytest.raises(UserError, match=r"does not go by this name.*--allowed-hosts"):
        check_access(server.uri.replace("127.0.0.1", "localhost"), "quickstart")


def test_the_absence_of_the_server_in_the_middle_loses_and_doubles_nothing(
    server: Server,
    quickstart: Callable[..., list[str]],
    fork: Callable[..., Any],
    tmp_path: Path,
    wait_until: Callable[..., None],
) -> None:
    tracking, theirs = f"{server.database}/tracking", {"environment": server.environment(), "merged": True}
    run = fork(tmp_path, "run", *quickstart(), "--local", "--tracking", server.uri, **theirs)
    wait_until(lambda: any(one["points"] for one in shown(tracking).values()), 300, "the first points are there")
    server.kill()
    wait_until(lambda: "could not be written" in run.said(), 120, "the run has noticed")
    assert run.poll() is None and "The run goes on without it" in run.said()
    run.send_signal(signal.SIGSTOP)  # or it might be over before the server is there again
    server.start()
    wait_until(server.is_up, 300, "MLflow answers again")
    assert len(shown(tracking)) < 25, "the server was killed in the middle"
    run.send_signal(signal.SIGCONT)
    said = run.communicate(timeout=300)[0]
    assert run.returncode == 0, said

    sync = fork(tmp_path, "sync", *quickstart(), "--tracking", "sqlite:///local/mlflow.db", **theirs)
    assert "has all of 'quickstart'" in sync.communicate(timeout=300)[0]
    logged = shown(tracking)
    assert logged == shown(f"sqlite:///{tmp_path}/local/mlflow.db")
    assert len(logged) == 25 and sum(len(one["points"]) for one in logged.values()) > 100
    assert {one["status"] for one in logged.values()} == {"FINISHED"}
    assert artifacts(server.folder / "artifacts") == artifacts(tmp_path / "local" / "artifacts") != []

    again = fork(tmp_path, "sync", *quickstart(), "--tracking", server.uri, **theirs)
    more = again.communicate(timeout=300)[0]
    assert "0 runs made, 0 points logged, 0 runs removed, 0 tickets registered" in more, more

    for password in (RESEARCHER, ADMIN, DATABASE):
        assert password not in said + more + everything(tracking)
        assert not [file for file in tmp_path.rglob("*") if file.is_file() and password.encode() in file.read_bytes()]
    assert len(Store(tmp_path / ".tickets" / "store").snapshot()) == 36
