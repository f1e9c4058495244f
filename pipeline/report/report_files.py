"""The report on disk: the page, its figures, and the tables that other programs read; each file whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.report.findings import Findings, Table
from pipeline.report.report_folder import CONTENTS, Contents, made_by, sha256_of
from pipeline.report.sections import order

PAGE = "report.html"
RESULTS = Table("results", lambda findings: findings.results)


def tables() -> list[Table]:
    """All that are written: the results, and those of the sections, each once."""
    computed = [one for section in order.SECTIONS for one in section.computed if isinstance(one, Table)]
    return list({table.name: table for table in [RESULTS, *computed]}.values())


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
    files += [file for table in tables() for file in _written(table, findings.of(table), folder)]
    if refresh is None:
        from pipeline.report.stills.figures import write_figures

        files += write_figures(findings, folder)
    contents = Contents(
        # Where another report wrote to the folder at the same time, files are not what this list says of them.
        {file.name: sha256_of(file) for file in files},
        made_by(),
        digest=findings.digest if refresh is None else "",
        version=version,
        measured=int(findings.results["status"].isin(["ok", "diverged"]).sum()),
    )
    write_whole(folder / CONTENTS, lambda path: path.write_text(json.dumps(asdict(contents))))
    return files


def _written(table: Table, rows: pd.DataFrame, folder: Path) -> Iterator[Path]:
    yield write_whole(folder / f"{table.name}.parquet", partial(rows.to_parquet, index=False))
    if table.csv:
        yield write_whole(folder / f"{table.name}.csv", partial(rows.to_csv, index=False))


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """`path`, written by `write` to a temporary file beside it that then takes its place."""
    # The suffix stays last: matplotlib and pandas choose the format by it.
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
