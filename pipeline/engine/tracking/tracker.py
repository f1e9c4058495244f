"""MLflow as a projection of the store: what is done is logged, once; what MLflow lacks is made up for later."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.engine.addresses import shown
from pipeline.engine.tracking.access import refusal
from pipeline.engine.tracking.client import Counts
from pipeline.engine.tracking.description import description
from pipeline.engine.tracking.metrics import Measurement
from pipeline.engine.tracking.report import commit_tag, report_run, texts
from pipeline.engine.tracking.runs import curves_of
from pipeline.engine.tracking.tickets import WantedTicket
from pipeline.engine.tracking.writer import TrackingWriter
from pipeline.experiment.errors import UserError
from pipeline.experiment.keys import canonical

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.experiment.grid import Grid, Point

Record = Mapping[str, Any]
EVERY_SECONDS = 2.0
"""Between two batches: a stage's result is in MLflow within seconds, and 1,000 short stages are not 1,000 requests."""
RETRY_SECONDS = 60.0


class Records(Protocol):
    """A store's snapshot, as far as tracking reads it."""

    def record(self, key: str) -> dict[str, Any] | None: ...


class Tracker:
    """Logs a grid's results while it runs.

    `log` returns at once: a thread of the tracker's writes batches. What goes wrong with MLflow never raises: it is
    said once, through `on_problem`, tried again now and then, and `sync` makes up for it later.
    """

    def __init__(
        self,
        tracking_uri: str,
        grid: Grid,
        *,
        on_problem: Callable[[str], None] = lambda message: None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        """`provenance`: of the driver, as `provenance.describe_driver` gives it; records bring their own."""
        self.uri = tracking_uri
        self._writer = TrackingWriter(tracking_uri, grid.name, partial(description, grid))
        self._grid = grid
        self._on_problem = on_problem
        self._provenance = dict(provenance or {})
        self._curves = curves_of(grid)
        self._curve_of = {
            point: number
            for number, curve in enumerate(self._curves)
            for by_round in curve.points.values()
            for draws in by_round.values()
            for point in draws
        }
        self._measured: dict[Point, Measurement] = {}
        self._made_with: dict[str, set[str]] = {"hardware": set(), "versions": set()}
        self._behind: set[int] = set()
        self._given_up: frozenset[str] = frozenset()
        self._last_error: str | None = None
        self._registry_error: str | None = None
        self._state = threading.Lock()
        self._finishing = threading.Event()
        self._thread: threading.Thread | None = None

    def log(self, points_with_records: Iterable[tuple[Point, Record]]) -> None:
        """Take note of finished points; those that a run before this one finished as well, for the means need them."""
        with self._state:
            for point, record in points_with_records:
                if point in self._measured:
                    continue
                self._measured[point] = Measurement.of(record)
                self._behind.add(self._curve_of[point])
                for what, seen in self._made_with.items():
                    seen.add(canonical(record.get(what, {})))
        if self._thread is None and self._behind:
            self._thread = threading.Thread(target=self._keep_up, name="tracking", daemon=True)
            self._thread.start()

    def log_stages(self, records: Mapping[str, Record]) -> None:
        """`log` for stage key -> record; stages that are no point of the grid are passed over."""
        self.log((point, records[point.stage]) for point in self._grid.points if point.stage in records)

    def finish(
        self,
        table: pd.DataFrame | None = None,
        artifacts: Iterable[Path] = (),
        *,
        given_up: Collection[str] = (),
        tickets: Collection[WantedTicket] = (),
    ) -> bool:
        """Write what is left, end the runs, attach the report; register tickets. True if MLflow now has every run.

        A registry that refuses (a server may allow runs and no models) changes nothing of that: `registry_error`.

        `table`: the results table; what it calls failed counts as final for the means of its round. `given_up`: keys
        of further stages that will have no record, because their source diverged. `tickets`: those to register, as
        `tickets.tickets_of` finds them. Call it once, at the end.
        """
        self._finishing.set()
        if self._thread is not None:
            self._thread.join()
        failed = set() if table is None else set(table.loc[table["status"] == "failed", "stage"])
        self._given_up = frozenset(failed | set(given_up))
        files = list(artifacts)
        # Looked up afresh: another driver may have made twins of our runs, or deleted ours as twins of its own.
        self._writer.forget()
        self._behind = {self._curve_of[point] for point in self._measured}
        written = self._attempt(partial(self._write, self._behind, ended=True), partial(self._attach, files))
        if written:
            self._register(tickets)
        return written

    @property
    def runs(self) -> int:
        """How many runs of this grid MLflow has, as far as the tracker knows."""
        return len(self._writer.runs)

    @property
    def counts(self) -> Counts:
        """What the tracker changed in MLflow."""
        return self._writer.counts

    @property
    def registry_error(self) -> str | None:
        """What kept `finish` from registering the tickets, although the runs were written; None if nothing did."""
        return self._registry_error

    @property
    def last_error(self) -> str | None:
        """What kept the last attempt from writing; None if it wrote."""
        return self._last_error

    def _keep_up(self) -> None:
        wait = 0.0
        while not self._finishing.wait(wait):
            with self._state:
                behind, self._behind = self._behind, set()
            written = not behind or self._attempt(partial(self._write, behind, ended=False))
            if not written:
                with self._state:
                    self._behind |= behind
            wait = EVERY_SECONDS if written else RETRY_SECONDS

    def _attempt(self, *steps: Callable[[], None]) -> bool:
        """Run the steps, and say what goes wrong."""
        error = self._writer.attempt(*steps)
        if error is None:
            self._last_error = None
            return True
        told = _told(error)
        if self._last_error is None:
            self._on_problem(
                f"MLflow at {shown(self.uri)} could not be written: {told} "
                "The run goes on without it; `tickets sync` brings MLflow up to date from the store."
            )
        self._last_error = told
        return False

    def _register(self, tickets: Collection[WantedTicket]) -> None:
        error = self._writer.attempt(partial(self._writer.register, tickets))
        self._registry_error = _told(error) if error else None
        if error:
            self._on_problem(
                f"The runs are in MLflow at {shown(self.uri)}; the tickets could not be registered as models: "
                f"{self._registry_error} `tickets sync` tries again."
            )

    def _write(self, behind: Collection[int], ended: bool) -> None:
        with self._state:
            wanted = [self._curves[number].runs(self._measured, self._given_up, ended) for number in sorted(behind)]
        self._writer.write(run for runs in wanted for run in runs)

    def _attach(self, files: list[Path]) -> None:
        seconds = {point.stage: value.seconds for point, value in self._measured.items()}
        self._writer.attach(
            report_run(self._grid.name, round(1000 * time.time())),
            files,
            texts(self._grid, self._provenance, self._made_with, seconds),
            commit_tag(self._provenance),
        )


def _told(error: Exception) -> str:
    """What went wrong, in a line and without credentials."""
    return refusal(error) or shown((str(error) or type(error).__name__).splitlines()[0])


def sync(
    grid: Grid,
    snapshot: Records,
    tracking_uri: str,
    *,
    table: pd.DataFrame | None = None,
    artifacts: Iterable[Path] = (),
    given_up: Collection[str] = (),
    provenance: Mapping[str, Any] | None = None,
    tickets: Collection[WantedTicket] = (),
) -> Tracker:
    """Log everything of the store that MLflow lacks, and say what was changed (`Tracker.counts`).

    Raises UserError if MLflow cannot be written. A registry that refuses is no such error: `Tracker.registry_error`.
    """
    tracker = Tracker(tracking_uri, grid, provenance=provenance)
    records = {point.stage: snapshot.record(point.stage) for point in grid.points}
    tracker.log_stages({key: record for key, record in records.items() if record is not None})
    if not tracker.finish(table, artifacts, given_up=given_up, tickets=tickets):
        raise UserError(f"MLflow at {shown(tracking_uri)} could not be written: {tracker.last_error}")
    return tracker
