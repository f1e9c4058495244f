"""Whether MLflow has everything already, answered without importing MLflow (1.2 s of a cached rerun's 5)."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from pipeline.engine.addresses import shown
from pipeline.engine.tracking.description import description
from pipeline.engine.tracking.runs import KEY
from pipeline.engine.tracking.tracker import Tracker
from pipeline.engine.tracking.uri import sqlite_path
from pipeline.experiment.keys import key_of

if TYPE_CHECKING:
    from pipeline.experiment.grid import Grid

LAYOUT = 2
"""Raised by hand when the runs of the same records change, so that they are projected again."""
COUNT = """
    SELECT count(*) FROM runs JOIN tags USING (run_uuid) JOIN experiments USING (experiment_id)
    WHERE experiments.name = ? AND experiments.lifecycle_stage = 'active' AND runs.lifecycle_stage = 'active'
    AND tags.key = ?
"""


class Documents(Protocol):
    """The store's small JSON documents."""

    def read_document(self, name: str) -> Any | None: ...
    def write_document(self, name: str, value: Any) -> object: ...


def projection_digest(grid: Grid, record: Callable[[str], Mapping[str, Any] | None]) -> str:
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


def is_tracked(
    store: Documents, tracking_uri: str, grid: Grid, record: Callable[[str], Mapping[str, Any] | None]
) -> bool:
    """Whether the grid's results were all logged to this MLflow, and a local database still has the runs."""
    document = store.read_document(_name(tracking_uri, grid.name))
    if not document or document.get("digest") != projection_digest(grid, record):
        return False
    database = sqlite_path(tracking_uri)
    if database is None:
        return True
    # MLflow's own tables: if they ever look otherwise the answer is no, and MLflow is asked.
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(_read_only(database), uri=True)) as found,
    ):
        return bool(found.execute(COUNT, (grid.name, KEY)).fetchone()[0] == document.get("runs"))
    return False


def remember_tracked(
    store: Documents, tracker: Tracker, tracking_uri: str, grid: Grid, record: Callable[[str], Mapping[str, Any] | None]
) -> None:
    """Call after `Tracker.finish` returned True or `sync` returned: even if the registry refused the tickets."""
    digest = projection_digest(grid, record)
    store.write_document(_name(tracking_uri, grid.name), {"digest": digest, "runs": tracker.runs})


def _name(tracking_uri: str, experiment: str) -> str:
    """Without the password: a new one is the same MLflow, and a hash of an old one could be searched for."""
    return f"tracking/{hashlib.sha256(shown(tracking_uri).encode()).hexdigest()}/{quote(experiment, safe='')}"


def _read_only(database: Any) -> str:
    return f"file:{quote(str(database))}?mode=ro"
