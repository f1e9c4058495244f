"""`tickets sync`: MLflow, brought up to date."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.options import (
    DATA,
    REPORTS,
    STORE,
    TRACKING,
    DataOption,
    File,
    Overrides,
    ReportsOption,
    StoreOption,
    TrackingOption,
    required_tracking,
)
from pipeline.cli.reporting import write
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    from pipeline.engine.store import Store
    from pipeline.experiment.grid import Grid


def sync(
    file: File,
    overrides: Overrides = None,
    store: StoreOption = STORE,
    tracking: TrackingOption = TRACKING,
    data: DataOption = DATA,
    reports: ReportsOption = REPORTS,
) -> None:
    """Log to MLflow what the store has and MLflow lacks.

    Exit code 1 if files of the store are damaged.
    """
    from pipeline.engine.store import Store
    from pipeline.experiment.collections import open_work

    work = open_work(file, overrides or [], data)
    uri = required_tracking(tracking)
    opened = Store(store, create=False).existing()
    damaged = [what for grid in work.grids for what in _sync(grid, opened, uri, tracking, reports)]
    sys.exit(1 if damaged else 0)


def _sync(grid: "Grid", opened: "Store", uri: str, tracking: str, reports: Path) -> tuple[str, ...]:
    """Returns a sentence for each file of the store that was found damaged; each of them is said."""
    from pipeline.engine.addresses import shown
    from pipeline.engine.failures import failures
    from pipeline.engine.provenance import describe_driver
    from pipeline.engine.tracking.digest import remember_tracked
    from pipeline.engine.tracking.sync import sync as sync_grid
    from pipeline.engine.tracking.tickets import tickets_of
    from pipeline.experiment.planning import plan
    from pipeline.report.files import current_report, report_digest
    from pipeline.report.folders import report_folder
    from pipeline.report.gathering import Known, gather
    from pipeline.report.results import results_table
    from pipeline.report.sound_outputs import broken_files

    snapshot = opened.snapshot()
    given_up = plan(grid, snapshot).blocked
    failed, _ = failures(opened, grid.name)
    table = results_table(grid, snapshot, failed)
    folder, version = report_folder(reports, grid, opened, snapshot)
    wanted = report_digest(grid.spec, opened.uri, table, failed)
    broken = broken_files(grid, snapshot)
    files = None if broken else current_report(folder, wanted)
    damaged: tuple[str, ...] = ()
    if files is None:
        findings = gather(grid, opened, snapshot, Known.in_folder(folder), broken)
        files, damaged = write(findings, folder, version), findings.damaged
    for what in damaged:
        print(f"damaged: {what}")
    tracker = sync_grid(
        grid,
        snapshot,
        uri,
        table=table,
        artifacts=files,
        given_up=given_up,
        say=print,
        provenance=describe_driver(),
        tickets=tickets_of(grid, snapshot, opened.uri),
    )
    if not damaged:
        remember_tracked(opened, tracker, uri, grid, snapshot.record)
    new = tracker.counts
    print(
        f"MLflow at {shown(tracking)} has all of {grid.name!r} that the store has: "
        f"{count_of(new.created, 'run')} made, {count_of(new.points, 'point')} logged, {count_of(new.deleted, 'run')} "
        f"removed, {count_of(new.versions, 'ticket')} registered, {new.versions_deleted} that they replace removed."
    )
    if tracker.registry_error is not None:
        print(f"The runs are there; tickets could not be registered as models: {tracker.registry_error}")
    return damaged
