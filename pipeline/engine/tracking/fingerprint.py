"""What MLflow shows of an experiment, as one hash: whether runs and tickets are still those that were logged."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from pipeline.engine.tracking.existing_runs import ROUNDS, ExistingRun, marks_in
from pipeline.engine.tracking.registry import COPIED, TICKET, Registered
from pipeline.engine.tracking.runs import KEY
from pipeline.recipes.keys import key_of

RUNS = """
    SELECT runs.run_uuid, keys.value, runs.status, rounds.value FROM runs JOIN experiments USING (experiment_id)
    JOIN tags AS keys ON keys.run_uuid = runs.run_uuid AND keys.key = ?
    LEFT JOIN tags AS rounds ON rounds.run_uuid = runs.run_uuid AND rounds.key = ?
    WHERE experiments.name = ? AND experiments.lifecycle_stage = 'active' AND runs.lifecycle_stage = 'active'
"""
VERSIONS = """
    SELECT name, version, model_versions.run_id, tickets.value FROM model_versions
    JOIN model_version_tags AS tickets USING (name, version) JOIN model_version_tags AS seeds USING (name, version)
    JOIN model_version_tags AS experiments USING (name, version)
    WHERE tickets.key = ? AND seeds.key = 'seed' AND experiments.key = 'experiment' AND experiments.value = ?
    AND current_stage != 'Deleted_Internal' AND COALESCE(source, '') NOT LIKE ?
"""


def fingerprint(runs: Iterable[ExistingRun], versions: Iterable[Registered] = ()) -> str:
    """Of runs by their ids: those of another database are others, even if they show the same."""
    return _hash(((run.run_id, run.key, run.status, run.marks) for run in runs), versions)


def fingerprint_in(database: Path, experiment: str) -> str | None:
    """The same of a SQLite file, without importing MLflow; None if it cannot be read.

    It knows MLflow's own tables: if they ever look otherwise the answer is None, and MLflow is asked.
    """
    link = f"file:{quote(str(database))}?mode=ro"
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(link, uri=True)) as found:
        rows = found.execute(RUNS, (KEY, ROUNDS, experiment)).fetchall()
        versions = found.execute(VERSIONS, (TICKET, experiment, f"{COPIED}%")).fetchall()
        runs = ((run_id, key, status, marks_in(rounds)) for run_id, key, status, rounds in rows)
        return _hash(runs, versions)
    return None


def _hash(runs: Iterable[tuple[str, str, str, dict[str, str]]], versions: Iterable[Registered]) -> str:
    return key_of({"runs": sorted(map(list, runs)), "versions": sorted(map(list, versions))})
