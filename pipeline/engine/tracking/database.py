"""The SQLite database that MLflow writes: made aside and put in place whole, so that nobody ever meets half of one.

MLflow makes and changes its tables in place, in some sixty steps. A process that is killed among them leaves a database
that no later one can use, and two that begin at once disturb each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.engine.tracking.quiet_client import client_of
from pipeline.experiment.errors import UserError

PATIENCE = 60.0
"""Seconds for which another process may be making the database, or hold it locked."""
QUIET = 10.0
"""Seconds without a change after which nobody is taken to be making an unfinished database any more."""
LOCKED = 20.0
"""Seconds to wait for a database that is written: as MLflow does."""
ROWS = {"experiments": "experiment_id != 0", "workspaces": "name != 'default'", "alembic_version": "FALSE"}
"""Of these tables a new database has some: all others are data."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is in a database."""

    tables: int
    revision: str | None
    """Of its schema; None where MLflow has not begun to note it."""
    holds_data: bool


def prepare_database(database: Path, say: Callable[[str], object]) -> None:
    """Make the database if there is none, finish what was interrupted, and bring an older MLflow's up to date.

    `say`: told in a sentence what becomes of a database that was there. Nothing that holds data is removed.

    Raises UserError if it is of a newer MLflow or of something else, sqlite3.Error or OSError if it cannot be used.
    """
    if database.exists() and inspect(database).revision == newest_revision():
        return
    with _locked(database):
        _remove_leftovers(database)
        if not database.exists():
            _remove_journal(database)
            _place(_made_aside(database), database)
            return
        found = _settled(database)
        if found.revision == newest_revision():
            return
        if not found.holds_data:
            _replace_unfinished(database, found, say)
        elif found.revision is None:
            raise UserError(f"{database} is a database, but none of MLflow's: name another with --tracking.")
        elif found.revision not in _revisions():
            raise UserError(
                f"{database} was written by a newer MLflow than this one: install that, or name another database "
                "with --tracking."
            )
        else:
            _upgrade(database, found.revision, say)


def inspect(database: Path) -> Found:
    """Raises sqlite3.Error if it cannot be read."""
    with contextlib.closing(_opened(database)) as link:
        names = [name for (name,) in link.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = [name for name in names if not name.startswith("sqlite_")]
        revision = None
        if "alembic_version" in tables:
            revision = next((number for (number,) in link.execute("SELECT version_num FROM alembic_version")), None)
        holds_data = any(_has_rows(link, name) for name in tables)
    return Found(len(tables), revision, holds_data)


def _opened(database: Path) -> sqlite3.Connection:
    """One that is there. Not only for reading: what a killed process left half written is taken back by that."""
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=LOCKED, isolation_level=None)


def _has_rows(link: sqlite3.Connection, table: str) -> bool:
    query = f'SELECT 1 FROM "{table}" WHERE {ROWS.get(table, "TRUE")} LIMIT 1'
    return link.execute(query).fetchone() is not None


def newest_revision() -> str:
    """Of the schema that the installed MLflow writes."""
    return _revisions()[0]


@cache
def _revisions() -> list[str]:
    """Those that the installed MLflow knows, the newest first."""
    from alembic.script import ScriptDirectory

    return [script.revision for script in ScriptDirectory(str(_migrations())).walk_revisions()]


def _migrations() -> Path:
    from mlflow.store import db_migrations

    return Path(db_migrations.__file__).parent


@contextlib.contextmanager
def _locked(database: Path) -> Iterator[None]:
    """One process at a time, and one thread: the lock is the file's that is open, and ends with its process."""
    with _beside(database, "lock").open("a") as file:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UserError(
                        f"another process has been making {database} for {PATIENCE:.0f} s (it holds {file.name} "
                        "locked): end it, or wait for it."
                    ) from None
                time.sleep(0.1)
        yield


def _settled(database: Path) -> Found:
    """What is in it once nobody is making it: an older program, or MLflow's server, does so in place."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = inspect(database)
        quiet = QUIET if found.tables else QUIET / 5
        unchanged = time.time() - database.stat().st_mtime
        if found.revision == newest_revision() or found.holds_data or unchanged >= quiet:
            return found
        if time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def _beside(database: Path, ending: str) -> Path:
    return database.with_name(f".{database.name}.{ending}")


def _remove_leftovers(database: Path) -> None:
    """What a process that was killed was making; whoever holds the lock is alone."""
    for left in database.parent.glob(f".{database.name}.new-*"):
        left.unlink(missing_ok=True)


def _remove_journal(database: Path) -> None:
    """A deleted database's, which SQLite would play back into the next one of its name."""
    for ending in ("-journal", "-wal", "-shm"):
        database.with_name(database.name + ending).unlink(missing_ok=True)


def _made_aside(database: Path) -> Path:
    """A new database under another name, made as MLflow makes it."""
    aside = _beside(database, f"new-{secrets.token_hex(8)}")
    try:
        client_of(f"sqlite:///{aside}").get_experiment("0")
    except BaseException:
        _remove_leftovers(database)
        raise
    return aside


def _place(aside: Path, database: Path) -> None:
    """Give a whole database its name, unless there is one of that name by now."""
    try:
        os.link(aside, database)
    except FileExistsError:  # whoever made it does not know the lock
        pass
    except OSError:  # a file system without links
        if not database.exists():
            aside.rename(database)
    aside.unlink(missing_ok=True)


def _replace_unfinished(database: Path, found: Found, say: Callable[[str], object]) -> None:
    aside = _made_aside(database)
    if not found.tables:
        aside.replace(database)
        return
    kept = _free_name(database, "unfinished")
    database.rename(kept)
    _remove_journal(database)
    _place(aside, database)
    say(f"The tracking database {database} was unfinished, with nothing in it: it is made anew. The old one is {kept}.")


def _upgrade(database: Path, revision: str, say: Callable[[str], object]) -> None:
    """Upgrade a copy, keep the old database under another name, and put the copy in its place.

    Meanwhile others may read the old one, but not write: that would be lost.
    """
    aside = _beside(database, f"new-{secrets.token_hex(8)}")
    with contextlib.closing(_opened(database)) as held:
        held.execute("BEGIN IMMEDIATE")
        try:
            _copy(database, aside)
            _migrate(aside)
        except Exception as error:
            raise UserError(
                f"{database} is of another version of MLflow (schema {revision}), or MLflow was interrupted while it "
                f"upgraded it, and cannot be brought to this version ({type(error).__name__}). It is as it was. Move "
                "it away: the next `tickets run` or `tickets sync` makes a new one, with all that the store has."
            ) from error
        else:
            kept = _free_name(database, f"before-{newest_revision()}")
            try:
                os.link(database, kept)
            except OSError:  # a file system without links
                _copy(database, kept)
            aside.replace(database)
        finally:
            aside.unlink(missing_ok=True)
    say(f"The tracking database {database} was upgraded to this version of MLflow; the old one is {kept}.")


def _copy(database: Path, to: Path) -> None:
    """Not as a file: closing that would end this process's locks of the database."""
    with contextlib.closing(_opened(database)) as source, contextlib.closing(sqlite3.connect(to)) as copy:
        source.backup(copy)


def _migrate(database: Path) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{database}".replace("%", "%%"))
    command.upgrade(config, "heads")


def _free_name(database: Path, ending: str) -> Path:
    """Beside the database, of a file that is not there."""
    names = (database.with_name(f"{database.name}.{ending}{number or ''}") for number in range(10_000))
    return next(name for name in names if not name.exists())
