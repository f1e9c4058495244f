"""The report on disk: the page, its figures, and the tables that other programs read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.engine.provenance import git_commit, versions
from pipeline.experiment.keys import key_of
from pipeline.experiment.spec import Spec
from pipeline.report.findings import Findings
from pipeline.report.whole_files import write_whole

PAGE = "report.html"
CONTENTS = ".contents.json"
"""What the files of a folder were made from, and which they are."""
TABLES = ("results", "curves", "comparisons", "convergence", "layers", "overlap", "settings", "unmade")
"""Written as Parquet and as CSV; `histories`, which is long, as Parquet only."""


def write_report(findings: Findings, folder: Path, *, refresh: int | None = None) -> list[Path]:
    """Write page, figures and tables below `folder`, and say what was written, the page first.

    Each file appears whole or not at all; those of an earlier report are replaced. `refresh`: seconds after which a
    browser reads the page again; such a page is soon replaced, and is written without figures in files of their own.
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
        contents = {"digest": digest(findings.spec, findings.results), "files": [file.name for file in files]}
        write_whole(folder / CONTENTS, lambda path: path.write_text(json.dumps(contents)))
    return files


def digest(spec: Spec, results: pd.DataFrame) -> str:
    """SHA-256 of what a report says: the same for the same results, read in the same way by the same version."""
    made_by = [versions()["ticket-transfer"], git_commit()]
    rows = results[["stage", "status"]].to_numpy().tolist()
    return key_of({"made_by": made_by, "spec": spec.model_dump(mode="json"), "results": rows})


def current_report(folder: Path, wanted: str) -> list[Path] | None:
    """The files of the report in `folder` if its digest is `wanted` and all of them are there; None otherwise."""
    try:
        contents = json.loads((folder / CONTENTS).read_text())
        files = [folder / name for name in contents["files"]]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    same = isinstance(contents, Mapping) and contents.get("digest") == wanted
    return files if same and all(file.is_file() for file in files) else None
