"""Addresses of experiments in MLflow's UI, found without importing MLflow."""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

from pipeline.engine.tracking.description import chart_link

MEANS = "tags.seed = 'all'"
"""Finds the curves without their single seeds."""
NEWEST = 10
ACTIVE = """
    SELECT name, experiment_id FROM experiments WHERE lifecycle_stage = 'active' AND experiment_id != 0
    ORDER BY last_update_time DESC LIMIT ?
"""


def experiment_links(database: Path, address: str) -> dict[str, str]:
    """Name -> address of the last few experiments in a local database, as a UI at `address` has them.

    The page is said in the address: MLflow's own front page leads to one for language models, without charts of runs.
    """
    with (
        contextlib.suppress(sqlite3.Error),  # MLflow's own tables: if they ever look otherwise, there are no links
        contextlib.closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as found,
    ):
        rows = found.execute(ACTIVE, (NEWEST,))
        return {name: f"{address}/{chart_link(str(number), MEANS)}" for name, number in rows}
    return {}
