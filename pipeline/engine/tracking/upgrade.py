"""Bringing a database of an older MLflow to the schema of this one: a copy is, and takes its place."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from pipeline.engine.tracking.schema import migrations, newest_revision, open_database
from pipeline.experiment.errors import UserError


def upgrade(database: Path, aside: Path, revision: str, say: Callable[[str], object]) -> None:
    """Upgrade a copy (at `aside`), keep the old database under another name, and put the copy in its place.

    Meanwhile others may read the old one, but not write: that would be lost.
    """
    with contextlib.closing(open_database(database)) as held:
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
            kept = free_name(database, f"before-{newest_revision()}")
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
    with contextlib.closing(open_database(database)) as source, contextlib.closing(sqlite3.connect(to)) as copy:
        source.backup(copy)


def _migrate(database: Path) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{database}".replace("%", "%%"))
    command.upgrade(config, "heads")


def free_name(database: Path, ending: str) -> Path:
    """Beside the database, of a file that is not there."""
    names = (database.with_name(f"{database.name}.{ending}{number or ''}") for number in range(10_000))
    return next(name for name in names if not name.exists())
