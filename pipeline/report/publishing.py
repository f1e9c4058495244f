"""What a run, a sync and a report end with: one look at the store, the report, and whoever else is told of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pandas as pd

from pipeline.engine.store import Store
from pipeline.engine.waiting import waiting
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import Grid
from pipeline.experiment.planning import plan
from pipeline.report.contents import current_report, report_digest
from pipeline.report.files import write_report
from pipeline.report.findings import Findings
from pipeline.report.folders import report_folder
from pipeline.report.gathering import begin, complete
from pipeline.report.sound_outputs import broken_files


class Audience(Protocol):
    """Who is told what a report says, in this order."""

    def wait(self, sentence: str) -> None:
        """What takes long."""

    def damaged(self, sentence: str) -> None:
        """A file of the store that is damaged, or lost."""

    def show(self, findings: Findings, files: list[Path], given_up: Collection[str]) -> None:
        """A report that is there, with its files, the page first."""

    def failed(self, results: pd.DataFrame, given_up: Collection[str]) -> None:
        """The report could not be made; the results are there all the same."""


def publish(
    grid: Grid,
    store: Store,
    reports: Path,
    audience: Audience,
    given_up: Collection[str] | None = None,
    *,
    anew: bool = False,
    whole: bool = False,
    mending: bool = False,
) -> tuple[str, ...]:
    """Write the report unless it is there (or `anew`), and tell it.

    `given_up`: keys of stages that will have no record, because they failed, or what they read failed or diverged;
    None: those that descend from a diverged one. Returns a sentence for each file of the store that was found damaged
    or, of a grid that is `whole` but for what was given up, lost; each of them is told. With `mending` nothing more is
    done then: an earlier report stays. Raises UserError if the report cannot be written.
    """
    snapshot = store.snapshot()
    without = plan(grid, snapshot).blocked.keys() if given_up is None else given_up
    folder, version = report_folder(reports, grid, store, snapshot)
    broken = broken_files(grid, snapshot, without if whole else None)
    findings = begin(grid, store, snapshot, folder, broken)
    wanted = report_digest(grid.spec, store.uri, findings.results, findings.read.failed, len(findings.read.checks))
    files = None if anew or broken else current_report(folder, wanted)
    if files is not None:
        findings = replace(findings, evidence=replace(findings.read, is_current=True))
    else:
        try:
            with waiting(f"Writing the report of {grid.name}", audience.wait):
                findings = complete(findings)
                if not (findings.damaged and mending):
                    files = write(findings, folder, version)
        except Exception:
            audience.failed(findings.results, without)
            raise
    for what in findings.damaged:
        audience.damaged(what)
    if files is not None:
        audience.show(findings, files, without)
    return findings.damaged


def write(findings: Findings, folder: Path, version: int, refresh: int | None = None) -> list[Path]:
    """The report's files, made anew, on a version of the experiment. Raises UserError if they cannot be written."""
    try:
        return write_report(findings, folder, refresh=refresh, version=version)
    except OSError as error:
        raise UserError(
            f"The report cannot be written to {folder}: {error.strerror or error}. Results are safe in the store; "
            "choose another folder with --reports and run `tickets report`."
        ) from error
