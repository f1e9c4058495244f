"""The folder of a report: which one it is, what it holds, and whether that is as it was written."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.engine.experiments import default_version, number_of
from pipeline.engine.experiments import versions as versions_of_name
from pipeline.engine.provenance import git_commit, versions
from pipeline.engine.store import Snapshot, Store
from pipeline.experiment.grid import Grid
from pipeline.experiment.spec import Spec
from pipeline.recipes.keys import key_of

CONTENTS = ".contents.json"
"""What the files of a folder were made from, and which they are."""


def report_digest(spec: Spec, store: str, results: pd.DataFrame, failed: Mapping[str, str], checks: int = 0) -> str:
    """SHA-256 of what a report is made from: the same results and failures, read in the same way by the same version.

    `checks`: how often stages of the store were made again, which the report says.
    `store`: its address, for results of another store have another provenance.
    """
    rows = results[["stage", "status", "finished"]].fillna({"finished": 0.0}).to_numpy().tolist()
    read_as = {"made_by": made_by(), "store": store, "spec": spec.model_dump(mode="json")}
    return key_of({**read_as, "results": rows, "failed": dict(failed), "checks": checks})


def current_report(folder: Path, wanted: str) -> list[Path] | None:
    """The files of the report in `folder` if its digest is `wanted` and all are as it wrote them; None otherwise."""
    contents = report_contents(folder)
    if contents is None or contents.digest != wanted or not all(is_as_written(folder, name) for name in contents.files):
        return None
    return [folder / name for name in contents.files]


def is_as_written(folder: Path, name: str) -> bool:
    """Whether a file of the report in `folder` has the bytes that this version wrote."""
    contents = report_contents(folder)
    try:
        return (
            contents is not None and contents.made_by == made_by() and contents.files[name] == sha256_of(folder / name)
        )
    except (OSError, LookupError):
        return False


def made_by() -> list[str]:
    """What makes reports: another version may compute otherwise."""
    return [versions()["ticket-transfer"], git_commit()]


@dataclass(frozen=True)
class Contents:
    """A report that was written. Of a page that is soon replaced `digest` is empty."""

    files: dict[str, str]
    """SHA-256 by name, the page first."""
    made_by: list[str]
    digest: str = ""
    version: int = 1
    """Of the experiment, of several that had its name."""
    measured: int = 1
    """Points with a result."""


def report_contents(folder: Path) -> Contents | None:
    """What was written there; None where there is nothing, or nothing of ours."""
    try:
        contents = Contents(**json.loads((folder / CONTENTS).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return contents if isinstance(contents.files, dict) else None


def sha256_of(file: Path) -> str:
    """Of its bytes."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


EMPTY = "@empty"


def report_folder(reports: Path, grid: Grid, store: Store, snapshot: Snapshot) -> tuple[Path, int]:
    """The folder for a report on `grid`, and the number of the version that it is of.

    `NAME` for the newest version that has results, `NAME@1` for another one. What `NAME` holds of a version before is
    moved to that one's folder. A report without any results goes to `NAME@empty` where one with results is.
    """
    known = versions_of_name(store, grid.name)
    number = number_of(known, grid)
    newest = default_version(store, known, snapshot).number if known else number
    folder = reports / (grid.name if number == newest else f"{grid.name}@{number}")
    there = report_contents(folder)
    if there is None:
        return folder, number
    if not any(snapshot.done(point.stage) for point in grid.points):
        return (reports / f"{grid.name}{EMPTY}" if there.measured else folder), number
    before = reports / f"{grid.name}@{there.version}"
    if there.version != number and not before.exists():
        with contextlib.suppress(OSError):  # a folder that cannot be moved can be made again, by the version's name
            folder.rename(before)
    return folder, number
