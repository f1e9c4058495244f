"""A report, from a grid and its store to its files: what a run, a sync and `tickets report` end with."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pandas as pd

from pipeline.engine.bit_checks import checks
from pipeline.engine.failures import failures
from pipeline.engine.store import Problem, Snapshot, Store
from pipeline.engine.waiting import waiting
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import Grid
from pipeline.experiment.planning import plan
from pipeline.report.evidence import Evidence
from pipeline.report.findings import Findings
from pipeline.report.report_files import write_report
from pipeline.report.report_folder import current_report, report_digest, report_folder
from pipeline.report.results import results_table
from pipeline.report.sections import order
from pipeline.report.sound_outputs import SoundOutputs, broken_files


def gather(grid: Grid, store: Store, snapshot: Snapshot, earlier: Path | None = None) -> Findings:
    """Read and compute all findings. `snapshot` is the moment that they are of.

    A grid whose histories or masks are too many to read has those of one level (`analysis.fraction_pruned`) only;
    `Findings.omissions` says so. Files of the store that are damaged are left out, named, and discarded.
    `earlier`: the folder of an earlier report, of which tables that hold what never changes for a key are not read
    again.
    """
    return complete(begin(grid, store, snapshot, earlier, broken_files(grid, snapshot)))


def begin(grid: Grid, store: Store, snapshot: Snapshot, earlier: Path | None, broken: Sequence[Problem]) -> Findings:
    """Findings of which nothing but the results has been computed yet. `broken`: as `broken_files` finds them."""
    failed, skipped = failures(store, grid.name)
    outputs = SoundOutputs(store, broken, snapshot)
    evidence = Evidence(grid, snapshot, outputs, store.uri, failed, skipped, checks(store), earlier)
    results = results_table(grid, snapshot, failed)
    return Findings(grid.spec, results, time.time(), evidence, about=grid.about)


def complete(findings: Findings) -> Findings:
    """The same with all that the sections compute, what was left out, and what was found damaged."""
    for section in order.SECTIONS:
        for computed in section.computed:
            findings.of(computed)
    read = findings.read
    damaged = read.outputs.damaged
    digest = report_digest(findings.spec, read.store, findings.results, read.failed, len(read.checks))
    return replace(findings, digest="" if damaged else digest, omissions=(*read.omissions, *damaged), damaged=damaged)


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


def make_report(
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
