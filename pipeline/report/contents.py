"""What a folder of reports holds: which files, what they were made from, and whether they are as they were written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.engine.provenance import git_commit, versions
from pipeline.experiment.spec import Spec
from pipeline.recipes.keys import key_of

CONTENTS = ".contents.json"
"""What the files of a folder were made from, and which they are."""


def report_digest(spec: Spec, store: str, results: pd.DataFrame, failed: Mapping[str, str]) -> str:
    """SHA-256 of what a report is made from: the same results and failures, read in the same way by the same version.

    `store`: its address, for results of another store have another provenance.
    """
    rows = results[["stage", "status", "finished"]].fillna({"finished": 0.0}).to_numpy().tolist()
    read_as = {"made_by": made_by(), "store": store, "spec": spec.model_dump(mode="json")}
    return key_of({**read_as, "results": rows, "failed": dict(failed)})


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
