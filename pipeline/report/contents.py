"""What a folder of reports holds: which files, what they were made from, and whether they are as they were written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.engine.provenance import git_commit, versions
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
    if contents.get("digest") != wanted:
        return None
    files = [folder / name for name in contents["files"]]
    return files if all(is_as_written(folder, file.name, contents) for file in files) else None


def is_as_written(folder: Path, name: str, contents: Mapping[str, Any] | None = None) -> bool:
    """Whether a file of the report in `folder` has the bytes that this version wrote."""
    known = report_contents(folder) if contents is None else contents
    try:
        return known.get("made_by") == made_by() and known["files"][name] == sha256_of(folder / name)
    except (OSError, LookupError):
        return False


def made_by() -> list[str]:
    """What makes reports: another version may compute otherwise."""
    return [versions()["ticket-transfer"], git_commit()]


def report_contents(folder: Path) -> dict[str, Any]:
    """The list of what was written; empty where there is none, or not one of ours."""
    try:
        contents = json.loads((folder / CONTENTS).read_text())
    except (OSError, ValueError):
        return {}
    return contents if isinstance(contents, dict) and isinstance(contents.get("files"), dict) else {}


def sha256_of(file: Path) -> str:
    """Of its bytes."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
