"""The SQLite database that MLflow writes: made aside and put in place whole, so that nobody ever meets half of one.

MLflow makes and changes its tables in place, in some sixty steps. A process that is killed among them leaves a database
that no later one can use, and two that begin at once disturb each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.engine.tracking.quiet_client import client_of
from pipeline.engine.tracking.schema import Found, inspect, known_revisions, newest_revision
from pipeline.engine.tracking.upgrade import free_name, upgrade
from pipeline.experiment.errors import UserError

PATIENCE = 60.0
"""Seconds for which another process may be making the database, or hold it locked."""
QUIET = 10.0
"""Seconds without a change after which nobody is taken to be making an unfinished database any more."""


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
        elif found.revision not in known_revisions():
            raise UserError(
                f"{database} was written by a newer MLflow than this one: install that, or name another database "
                "with --tracking."
            )
        else:
            upgrade(database, _new_name(database), found.revision, say)


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


def _new_name(database: Path) -> Path:
    """For one that is being made."""
    return _beside(database, f"new-{secrets.token_hex(8)}")


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
    aside = _new_name(database)
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
    kept = free_name(database, "unfinished")
    database.rename(kept)
    _remove_journal(database)
    _place(aside, database)
    say(f"The tracking database {database} was unfinished, with nothing in it: it is made anew. The old one is {kept}.")
