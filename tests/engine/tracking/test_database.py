"""MLflow's database is whole from its first moment on, and one that is not whole is finished, upgraded or named."""

import multiprocessing
import os
import re
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.engine.tracking import database as tracking_database
from pipeline.engine.tracking import schema
from pipeline.engine.tracking import upgrade as upgrading
from pipeline.engine.tracking.client import connect
from pipeline.engine.tracking.database import prepare_database
from pipeline.engine.tracking.failure_sentences import sentence
from pipeline.engine.tracking.schema import inspect, newest_revision
from pipeline.experiment.errors import UserError

FORK = multiprocessing.get_context("fork")
EARLIER = "75868b020152"
"""A schema before today's."""


@pytest.fixture
def whole(uri: str, copy_of: Callable[[str], Path], tmp_path: Path) -> Path:
    """A database as MLflow makes it, with an experiment or more, in a folder of its own. Do not change."""
    (tmp_path / "whole").mkdir()
    return copy_of(uri).rename(tmp_path / "whole" / "mlflow.db")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def made_quickly(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new database is a copy of one that MLflow made, without its experiments: making one takes MLflow seconds."""

    def copy(database: Path) -> Path:
        aside = database.with_name(f".{database.name}.new-copy")
        shutil.copy(whole, aside)
        _change(aside, *(f'DELETE FROM "{name}"' for name in _tables(aside) if name not in schema.ROWS))
        _change(aside, "DELETE FROM experiments WHERE experiment_id != 0")
        return aside

    monkeypatch.setattr(tracking_database, "_made_aside", copy)


def _change(database: Path, *statements: str) -> None:
    with sqlite3.connect(database) as link:
        for statement in statements:
            link.execute(statement)
    link.close()


def _tables(database: Path) -> list[str]:
    with sqlite3.connect(database) as link:
        return [name for (name,) in link.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def _prepare(database: Path) -> "multiprocessing.process.BaseProcess":
    process = FORK.Process(target=prepare_database, args=(database, print))
    process.start()
    return process


def _aside(database: Path) -> int:
    """Tables of the database that is being made."""
    for path in database.parent.glob(".*.new-*"):
        if not path.name.endswith("-journal"):
            try:
                with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as link:
                    return int(link.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0])
            except sqlite3.Error:
                pass
    return 0


def test_killed_at_any_moment_or_made_by_two_at_once_it_is_whole_or_not_there(
    uri: str, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    connect(uri, "any")  # MLflow is imported once, here
    database = tmp_path / "mlflow.db"
    for tables in (1, 20):
        process = _prepare(database)
        wait_until(lambda least=tables: _aside(database) >= least, 300, f"{tables} tables are there")
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert not database.exists()
    first = _prepare(database)
    wait_until(lambda: _aside(database) >= 1, 300, "the first has begun")
    second = _prepare(database)
    for process in (first, second):
        process.join(300)
    assert (first.exitcode, second.exitcode) == (0, 0)
    assert inspect(database).revision == newest_revision()
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", ".mlflow.db.lock"}, (
        "nothing is left of the killed"
    )


@pytest.mark.usefixtures("made_quickly")
def test_an_unfinished_database_is_made_anew_and_kept(whole: Path, tmp_path: Path, said: list[str]) -> None:
    """As programs leave it that make it in place: MLflow's own, when they are killed."""
    database = tmp_path / "mlflow.db"
    shutil.copy(whole, database)
    _change(database, "DELETE FROM experiments", f"UPDATE alembic_version SET version_num = '{EARLIER}'")
    _change(database, *(f'DELETE FROM "{name}"' for name in _tables(database) if name not in schema.ROWS))
    os.utime(database, (0, time.time() - 60))
    before = database.read_bytes()
    prepare_database(database, said.append)
    assert inspect(database).revision == newest_revision()
    assert Path(f"{database}.unfinished").read_bytes() == before
    assert len(said) == 1 and "unfinished" in said[0]
    prepare_database(database, said.append)
    assert len(said) == 1


@pytest.mark.usefixtures("made_quickly")
def test_an_unfinished_database_that_somebody_is_making_is_left_alone(
    whole: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's server, say, whose tables appear one by one."""
    database = tmp_path / "mlflow.db"
    shutil.copy(whole, database)
    _change(database, *(f'DELETE FROM "{name}"' for name in _tables(database) if name not in schema.ROWS))
    _change(database, "DELETE FROM experiments WHERE experiment_id != 0")
    _change(database, f"UPDATE alembic_version SET version_num = '{EARLIER}'")
    finish = f"UPDATE alembic_version SET version_num = '{newest_revision()}'"
    monkeypatch.setattr(time, "sleep", lambda seconds: _change(database, finish))
    prepare_database(database, said.append)
    assert not said and [path.name for path in tmp_path.glob("mlflow.db*")] == ["mlflow.db"]


@pytest.mark.usefixtures("made_quickly")
def test_the_journal_of_a_deleted_database_does_not_get_into_the_next_one(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    database.with_name("mlflow.db-journal").write_bytes(b"what SQLite would play back")
    prepare_database(database, print)
    assert not database.with_name("mlflow.db-journal").exists()


def test_an_older_database_with_data_is_upgraded_as_a_copy(
    whole: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "mlflow.db"
    shutil.copy(whole, database)
    _change(database, f"UPDATE alembic_version SET version_num = '{EARLIER}'")
    before = database.read_bytes()
    # Its tables are those of today, so that MLflow's own upgrade fails, as on one that was interrupted.
    with pytest.raises(UserError, match=r"It is as it was. Move it away"):
        prepare_database(database, said.append)
    assert database.read_bytes() == before and not said
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", ".mlflow.db.lock", "whole"}

    def upgrade(copy: Path) -> None:
        assert copy != database
        with pytest.raises(sqlite3.OperationalError, match="locked"), sqlite3.connect(database, timeout=0) as link:
            link.execute("DELETE FROM experiments")  # it would be lost
        _change(copy, f"UPDATE alembic_version SET version_num = '{newest_revision()}'")

    monkeypatch.setattr(upgrading, "_migrate", upgrade)
    prepare_database(database, said.append)
    kept = Path(f"{database}.before-{newest_revision()}")
    assert inspect(database).revision == newest_revision() and inspect(database).holds_data
    assert kept.read_bytes() == before and str(kept) in said[0]


def test_what_cannot_be_used_is_told_in_a_sentence_and_left_as_it_is(whole: Path, tmp_path: Path) -> None:
    def newer(database: Path) -> None:
        shutil.copy(whole, database)
        _change(database, "UPDATE alembic_version SET version_num = 'ffff'")

    def truncated(database: Path) -> None:
        database.write_bytes(whole.read_bytes()[:300_000])

    def of_something_else(database: Path) -> None:
        _change(database, "CREATE TABLE sheep (name)", "INSERT INTO sheep VALUES ('Dolly')")

    def no_database(database: Path) -> None:
        database.write_text("These are the voyages of the starship Enterprise.\n" * 100)

    for make, told in (
        (newer, "newer MLflow"),
        (truncated, r"damaged .*Move it away"),
        (of_something_else, "none of MLflow's"),
        (no_database, r"damaged .*Move it away"),
        (Path.mkdir, "cannot be opened"),
    ):
        database = tmp_path / f"{make.__name__}.db"
        make(database)
        before = None if database.is_dir() else database.read_bytes()
        with pytest.raises((UserError, sqlite3.Error)) as problem:
            prepare_database(database, print)
        assert re.search(told, sentence(problem.value))
        assert (None if database.is_dir() else database.read_bytes()) == before
