"""MLflow brought up to date with a store, after the fact."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine.addresses import shown
from pipeline.engine.provenance import Provenance
from pipeline.engine.store.records import Records
from pipeline.engine.tracking.tickets import WantedTicket
from pipeline.engine.tracking.tracker import Tracker
from pipeline.experiment.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.experiment.grid import Grid


def sync(
    grid: Grid,
    snapshot: Records,
    tracking_uri: str,
    *,
    table: pd.DataFrame | None = None,
    artifacts: Iterable[Path] = (),
    given_up: Collection[str] = (),
    say: Callable[[str], None] = lambda message: None,
    provenance: Provenance | None = None,
    tickets: Collection[WantedTicket] = (),
) -> Tracker:
    """Log everything of the store that MLflow lacks, and say what was changed (`Tracker.counts`).

    Raises UserError if MLflow cannot be written. A registry that refuses is no such error: `Tracker.registry_error`.
    """
    tracker = Tracker(tracking_uri, grid, say=say, provenance=provenance)
    tracker.log_snapshot(snapshot, write=False)
    if not tracker.finish(table, artifacts, given_up=given_up, tickets=tickets):
        raise UserError(f"MLflow at {shown(tracking_uri)} could not be written: {tracker.last_error}")
    return tracker
