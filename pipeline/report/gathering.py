"""From a grid and its store to findings: everything that the report says is read or computed here, once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.engine.failures import failures
from pipeline.engine.recomputing import checks
from pipeline.engine.store import Problem, Snapshot, Store
from pipeline.experiment.grid import Grid
from pipeline.report.contents import report_digest
from pipeline.report.evidence import Evidence
from pipeline.report.findings import Findings
from pipeline.report.results import results_table
from pipeline.report.sections import order
from pipeline.report.sound_outputs import SoundOutputs, broken_files


def gather(
    grid: Grid,
    store: Store,
    snapshot: Snapshot,
    earlier: Path | None = None,
    broken: Sequence[Problem] | None = None,
) -> Findings:
    """Read and compute all findings. `snapshot` is the moment that they are of.

    A grid whose histories or masks are too many to read has those of one level (`analysis.fraction_pruned`) only;
    `Findings.notes` says so. Files of the store that are damaged are left out, named, and discarded. `broken`: those
    that are known, as `broken_files` finds them. `earlier`: the folder of an earlier report, of which tables that hold
    what never changes for a key are not read again.
    """
    return complete(begin(grid, store, snapshot, earlier, broken))


def begin(
    grid: Grid,
    store: Store,
    snapshot: Snapshot,
    earlier: Path | None = None,
    broken: Sequence[Problem] | None = None,
) -> Findings:
    """Findings of which nothing but the results has been computed yet; arguments as those of `gather`."""
    failed, skipped = failures(store, grid.name)
    outputs = SoundOutputs(store, broken_files(grid, snapshot) if broken is None else broken)
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
    return replace(findings, digest="" if damaged else digest, notes=(*read.notes, *damaged), damaged=damaged)
