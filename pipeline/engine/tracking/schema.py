"""What is in a SQLite database of MLflow's: of which schema it is, and whether it holds data."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from functools import cache
from pathlib import Path

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


def inspect(database: Path) -> Found:
    """Raises sqlite3.Error if it cannot be read."""
    with contextlib.closing(open_database(database)) as link:
        names = [name for (name,) in link.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = [name for name in names if not name.startswith("sqlite_")]
        revision = None
        if "alembic_version" in tables:
            revision = next((number for (number,) in link.execute("SELECT version_num FROM alembic_version")), None)
        holds_data = any(_has_rows(link, name) for name in tables)
    return Found(len(tables), revision, holds_data)


def open_database(database: Path) -> sqlite3.Connection:
    """One that is there. Not only for reading: what a killed process left half written is taken back by that."""
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=LOCKED, isolation_level=None)


def _has_rows(link: sqlite3.Connection, table: str) -> bool:
    query = f'SELECT 1 FROM "{table}" WHERE {ROWS.get(table, "TRUE")} LIMIT 1'
    return link.execute(query).fetchone() is not None


def newest_revision() -> str:
    """Of the schema that the installed MLflow writes."""
    return known_revisions()[0]


@cache
def known_revisions() -> list[str]:
    """Those that the installed MLflow knows, the newest first."""
    from alembic.script import ScriptDirectory

    return [script.revision for script in ScriptDirectory(str(migrations())).walk_revisions()]


def migrations() -> Path:
    from mlflow.store import db_migrations

    return Path(db_migrations.__file__).parent
