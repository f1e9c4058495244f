"""Where a report is written: below a folder of reports, in one of the experiment's name, or of one of its versions."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pipeline.engine.experiments import default_version, number_of, versions
from pipeline.engine.store import Snapshot, Store
from pipeline.experiment.grid import Grid
from pipeline.report.contents import report_contents

EMPTY = "@empty"


def report_folder(reports: Path, grid: Grid, store: Store, snapshot: Snapshot) -> tuple[Path, int]:
    """The folder for a report on `grid`, and the number of the version that it is of.

    `NAME` for the newest version that has results, `NAME@1` for another one. What `NAME` holds of a version before is
    moved to that one's folder. A report without any results goes to `NAME@empty` where one with results is.
    """
    known = versions(store, grid.name)
    number = number_of(known, grid)
    newest = default_version(store, known, snapshot).number if known else number
    folder = reports / (grid.name if number == newest else f"{grid.name}@{number}")
    there = report_contents(folder)
    if there is None:
        return folder, number
    if not any(snapshot.done(point.stage) for point in grid.points):
        return (reports / f"{grid.name}{EMPTY}" if there.measured else folder), number
    before = reports / f"{grid.name}@{there.version}"
    if there.version != number and not before.exists():
        with contextlib.suppress(OSError):  # a folder that cannot be moved can be made again, by the version's name
            folder.rename(before)
    return folder, number
