"""`tickets sync`: MLflow, brought up to date."""

import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli import options
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.engine.store import Store
    from pipeline.experiment.grid import Grid
    from pipeline.report.findings import Findings


def sync(
    file: options.File,
    overrides: options.Overrides = None,
    store: options.StoreOption = options.STORE,
    tracking: options.TrackingOption = options.TRACKING,
    data: options.DataOption = options.DATA,
    reports: options.ReportsOption = options.REPORTS,
) -> None:
    """Log to MLflow what the store has and MLflow lacks.

    Exit code 1 if files of the store are damaged.
    """
    from pipeline.engine.store import Store
    from pipeline.experiment.collections import open_work
    from pipeline.report.report import make_report

    work = open_work(file, overrides or [], data)
    uri = options.required_tracking(tracking)
    opened = Store(store, create=False).existing()
    audiences = [MlflowAudience(grid, opened, uri, tracking) for grid in work.grids]
    damaged = [what for audience in audiences for what in make_report(audience.grid, opened, reports, audience)]
    sys.exit(1 if damaged else 0)


@dataclass(frozen=True)
class MlflowAudience:
    """MLflow, and who asked for it to be brought up to date."""

    grid: "Grid"
    store: "Store"
    uri: str
    tracking: str

    def wait(self, sentence: str) -> None:
        """Not said."""

    def damaged(self, sentence: str) -> None:
        print(f"damaged: {sentence}")

    def failed(self, results: "pd.DataFrame", given_up: Collection[str]) -> None:
        """Nothing is logged without its report: the next sync does it."""

    def show(self, findings: "Findings", files: list[Path], given_up: Collection[str]) -> None:
        from pipeline.engine.addresses import shown
        from pipeline.engine.provenance import describe_driver
        from pipeline.engine.tracking.digest import remember_tracked
        from pipeline.engine.tracking.sync import sync as sync_grid
        from pipeline.engine.tracking.tickets import tickets_of

        grid, store, snapshot = self.grid, self.store, findings.read.snapshot
        tracker = sync_grid(
            grid,
            snapshot,
            self.uri,
            table=findings.results,
            artifacts=files,
            given_up=given_up,
            say=print,
            provenance=describe_driver(),
            tickets=tickets_of(grid, snapshot, store.uri),
        )
        if not findings.damaged:
            remember_tracked(store, tracker, self.uri, grid, snapshot.record)
        new = tracker.counts
        print(
            f"MLflow at {shown(self.tracking)} has all of {grid.name!r} that the store has: "
            f"{count_of(new.created, 'run')} made, {count_of(new.points, 'point')} logged, "
            f"{count_of(new.deleted, 'run')} removed, {count_of(new.versions, 'ticket')} registered, "
            f"{new.versions_deleted} that they replace removed."
        )
        if tracker.registry_error is not None:
            print(f"The runs are there; tickets could not be registered as models: {tracker.registry_error}")
