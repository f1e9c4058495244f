"""What a store and an MLflow database hold at the end, and in what two of them differ."""

import contextlib
import hashlib
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

from pipeline.engine.store import Store

Stages = dict[str, dict[str, Any]]
Runs = dict[str, list[tuple[str, list[tuple[str, int, float]]]]]
MEASURED = ("seconds", "images_per_second")
"""Of how long something took: no two runs have the same."""


def stages(folder: Path) -> Stages:
    """By key: status, summary and what was read, and the SHA-256 of each output, read from the files themselves."""
    store = Store(folder, create=False)
    snapshot = store.snapshot()
    found = {}
    for key in snapshot:
        record = snapshot.record(key)
        if record is None:
            continue
        outputs = {
            name: hashlib.sha256(store.folder.read(entry["path"])).hexdigest()
            for name, entry in record["outputs"].items()
            if "path" in entry and (folder / entry["path"]).is_file()
        }
        found[key] = {what: record[what] for what in ("status", "summary", "inputs")} | {"outputs": outputs}
    return found


def runs(database: Path) -> Runs:
    """By key: status and metrics of every run that is not deleted; times left out."""
    found: Runs = defaultdict(list)
    if not database.exists():
        return found
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as link:
        ours = link.execute(
            "select runs.run_uuid, tags.value, runs.status from runs join tags on tags.run_uuid = runs.run_uuid "
            "where tags.key = 'ticket_transfer.key' and runs.lifecycle_stage = 'active'"
        ).fetchall()
        for run, key, status in ours:
            metrics = link.execute("select key, step, value from metrics where run_uuid = ?", (run,)).fetchall()
            kept = [metric for metric in metrics if not any(word in metric[0] for word in MEASURED)]
            found[key].append((status, sorted(kept)))
    return found


def differences(wanted: Stages, found: Stages) -> list[str]:
    """Results that are lost or changed. What is collected here and kept there, or the other way round, is neither."""
    told = [f"lost: {key}" for key in sorted(wanted.keys() - found.keys())]
    for key in sorted(wanted.keys() & found.keys()):
        one, other = wanted[key], found[key]
        told += [f"changed: {what} of {key}" for what in ("status", "summary", "inputs") if one[what] != other[what]]
        told += [
            f"changed: {name} of {key}"
            for name in sorted(one["outputs"].keys() & other["outputs"].keys())
            if one["outputs"][name] != other["outputs"][name]
        ]
    return told


def differences_in_mlflow(wanted: Runs, found: Runs) -> list[str]:
    """Runs that are missing, double, not finished, or have other metrics."""
    told = [f"not in MLflow: {key}" for key in sorted(wanted.keys() - found.keys())]
    for key in sorted(wanted.keys() & found.keys()):
        told += [f"{len(found[key])} times in MLflow: {key}"] if len(found[key]) > 1 else []
        told += [f"{status} in MLflow: {key}" for status, _ in found[key] if status != "FINISHED"]
        told += [f"other metrics in MLflow: {key}"] if found[key][0][1] != wanted[key][0][1] else []
    return told
