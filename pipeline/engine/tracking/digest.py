"""What was logged of a store, and where: so that a rerun need not log it again, nor import MLflow to know (2 s)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipeline.engine.addresses import shown
from pipeline.engine.store.documents import HasDocuments
from pipeline.engine.store.records import Record
from pipeline.engine.tracking.description import description
from pipeline.engine.tracking.fingerprint import fingerprint_in
from pipeline.engine.tracking.tracker import Tracker
from pipeline.engine.tracking.uri import sqlite_path
from pipeline.recipes.keys import key_of

if TYPE_CHECKING:
    from pipeline.experiment.grid import Grid

LAYOUT = 2
"""Raised by hand when the runs of the same records change, so that they are projected again."""


def projection_digest(grid: Grid, record: Callable[[str], Record | None]) -> str:
    """SHA-256 of what MLflow shows of the grid: results, description, and the grid's file and report as artifacts.

    `record`: stage key -> record or None. Settings of the analysis change the report and no stage: the specification
    is part of it as a whole.
    """
    points = []
    for point in grid.points:
        found = record(point.stage)
        status = found["status"] if found else None
        points.append([point.source, point.target, point.ticket, point.seed, point.round, point.stage, status])
    return key_of(
        {
            "layout": LAYOUT,
            "description": description(grid, ""),
            "spec": grid.spec.model_dump(mode="json"),
            "points": points,
        }
    )


def logged_runs(
    store: HasDocuments, tracking_uri: str, grid: Grid, record: Callable[[str], Record | None]
) -> str | None:
    """Fingerprint of the runs when exactly these results were logged to this MLflow; None if they never were."""
    document = store.documents.read(_name(tracking_uri, grid.name))
    if not document or document.get("digest") != projection_digest(grid, record):
        return None
    runs: str | None = document.get("runs")
    return runs


def is_tracked(store: HasDocuments, tracking_uri: str, grid: Grid, record: Callable[[str], Record | None]) -> bool:
    """Whether these results were all logged to this database file, and it still shows them as they were.

    False for any other MLflow: only asking it tells.
    """
    logged, database = logged_runs(store, tracking_uri, grid, record), sqlite_path(tracking_uri)
    return logged is not None and database is not None and fingerprint_in(database, grid.name) == logged


def remember_tracked(
    store: HasDocuments, tracker: Tracker, tracking_uri: str, grid: Grid, record: Callable[[str], Record | None]
) -> None:
    """Call after `Tracker.finish` returned True or `sync` returned, with the records that the tracker was given.

    Nothing is remembered while tickets wait to be registered, unless the registry refused them.
    """
    if tracker.owes_tickets:
        return
    digest = projection_digest(grid, record)
    store.documents.write(_name(tracking_uri, grid.name), {"digest": digest, "runs": tracker.fingerprint})


def _name(tracking_uri: str, experiment: str) -> str:
    """Without the password: a new one is the same MLflow, and a hash of an old one could be searched for."""
    return f"tracking/{hashlib.sha256(shown(tracking_uri).encode()).hexdigest()}/{quote(experiment, safe='')}"
