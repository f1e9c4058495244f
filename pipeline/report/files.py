"""The report on disk: the page, its figures, and the tables that other programs read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.engine.provenance import git_commit, versions
from pipeline.experiment.spec import Spec
from pipeline.recipes.keys import key_of
from pipeline.report.findings import Findings
from pipeline.report.whole_files import write_whole

PAGE = "report.html"
CONTENTS = ".contents.json"
"""What the files of a folder were made from, and which they are."""
TABLES = (
    *("results", "curves", "comparisons", "convergence", "layers", "initial_weights", "connectivity", "overlap"),
    *("networks", "paired_networks", "beside_paper", "beside_dense", "winning_tickets", "sensitivity"),
    *("settings", "unmade"),
)
"""Written as Parquet and as CSV; `histories`, which is long, as Parquet only."""


def write_report(findings: Findings, folder: Path, *, refresh: int | None = None, version: int = 1) -> list[Path]:
    """Write page, figures and tables below `folder`, and say what was written, the page first.

    Each file appears whole or not at all; those of an earlier report are replaced. `refresh`: seconds after which a
    browser reads the page again; such a page is soon replaced, and is written without figures in files of their own.
    `version`: of the experiment, of several that had its name.
    """
    from pipeline.report.page.rendering import render

    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONTENTS).unlink(missing_ok=True)
    page = render(findings, refresh=refresh)
    files = [write_whole(folder / PAGE, lambda path: path.write_text(page, encoding="utf-8"))]
    for name in TABLES:
        table: pd.DataFrame = getattr(findings, name)
        files.append(write_whole(folder / f"{name}.parquet", partial(table.to_parquet, index=False)))
        files.append(write_whole(folder / f"{name}.csv", partial(table.to_csv, index=False)))
    files.append(write_whole(folder / "histories.parquet", partial(findings.histories.to_parquet, index=False)))
    if refresh is None:
        from pipeline.report.stills.figures import write_figures

        files += write_figures(findings, folder)
    contents = {
        "made_by": made_by(),
        "digest": findings.digest if refresh is None else "",
        "version": version,
        "measured": int(findings.results["status"].isin(["ok", "diverged"]).sum()),
        # Where another report wrote to the folder at the same time, files are not what this list says of them.
        "files": {file.name: _sha256(file) for file in files},
    }
    write_whole(folder / CONTENTS, lambda path: path.write_text(json.dumps(contents)))
    return files


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
    if contents.get("digest") != wanted:
        return None
    files = [folder / name for name in contents["files"]]
    return files if all(is_as_written(folder, file.name, contents) for file in files) else None


def is_as_written(folder: Path, name: str, contents: Mapping[str, Any] | None = None) -> bool:
    """Whether a file of the report in `folder` has the bytes that this version wrote."""
    known = report_contents(folder) if contents is None else contents
    try:
        return known.get("made_by") == made_by() and known["files"][name] == _sha256(folder / name)
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


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
