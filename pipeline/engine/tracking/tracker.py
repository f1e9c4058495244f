"""MLflow as a projection of the store: what is done is logged, once; what MLflow lacks is made up for later."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine.addresses import shown
from pipeline.engine.provenance import Provenance
from pipeline.engine.store.records import Record, Records
from pipeline.engine.tracking.client import Counts
from pipeline.engine.tracking.description import description
from pipeline.engine.tracking.failure_sentences import is_no_answer, is_refusal, sentence
from pipeline.engine.tracking.fingerprint import fingerprint
from pipeline.engine.tracking.measured_curves import MeasuredCurves
from pipeline.engine.tracking.report import commit_tag, report_run, texts
from pipeline.engine.tracking.tickets import WantedTicket
from pipeline.engine.tracking.writer import TrackingWriter

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.experiment.grid import Grid, Point

EVERY_SECONDS = 2.0
"""Between two batches: a stage's result is in MLflow within seconds, and 1,000 short stages are not 1,000 requests."""
RETRY_SECONDS = 60.0
DRIVERS = 4
"""That may make the same runs at the same time: each looks so often whether it has twins."""


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
        say: Callable[[str], None] = lambda message: None,
        provenance: Provenance | None = None,
    ) -> None:
        """`say`: takes what becomes of a database that was there (upgraded, say).

        `provenance`: of the driver, as `provenance.describe_driver` gives it; records bring their own.
        """
        self.uri = tracking_uri
        self._writer = TrackingWriter(tracking_uri, grid.name, partial(description, grid), say)
        self._grid = grid
        self._on_problem = on_problem
        self._provenance = provenance
        self._curves = MeasuredCurves(grid)
        self._given_up: frozenset[str] = frozenset()
        self._last_error: str | None = None
        self._registry_error: str | None = None
        self._owes_tickets = False
        self._no_answer_at_end = False
        self._put_off_until = 0.0
        self._finishing = threading.Event()
        self._thread: threading.Thread | None = None

    def put_off(self, error: Exception) -> None:
        """Say that the server did not answer just now, and leave it alone for a while if it was waited for."""
        if is_no_answer(error):
            self._put_off_until = time.monotonic() + RETRY_SECONDS
            self._failed(error)

    def log(self, points_with_records: Iterable[tuple[Point, Record]], *, write: bool = True) -> None:
        """Take note of finished points; those that a run before this one finished as well, for the means need them.

        `write`: log their runs now, not when another point of them comes or at the end.
        """
        if self._curves.add(points_with_records, write=write) and self._thread is None:
            self._thread = threading.Thread(target=self._keep_up, name="tracking", daemon=True)
            self._thread.start()

    def log_stages(self, records: Mapping[str, Record], *, write: bool = True) -> None:
        """`log` for stage key -> record; stages that are no point of the grid are passed over."""
        self.log(((point, records[point.stage]) for point in self._grid.points if point.stage in records), write=write)

    def log_snapshot(self, snapshot: Records, *, write: bool = True) -> None:
        """`log` for whatever the store has of the grid."""
        records = {point.stage: snapshot.record(point.stage) for point in self._grid.points}
        self.log_stages({key: record for key, record in records.items() if record is not None}, write=write)

    def finish(
        self,
        table: pd.DataFrame | None = None,
        artifacts: Iterable[Path] = (),
        *,
        given_up: Collection[str] = (),
        tickets: Collection[WantedTicket] = (),
        logged: str | None = None,
    ) -> bool:
        """Write what is left, end the runs, attach the report; register tickets. True if MLflow now has every run.

        A registry that refuses (a server may allow runs and no models) changes nothing of that: `registry_error`.

        `table`: the results table; what it calls failed counts as final for the means of its round. `given_up`: keys
        of further stages that will have no record, because their source diverged. `tickets`: those to register, as
        `tickets.tickets_of` finds them. `logged`: fingerprint of the runs with which there is nothing to do. Call it
        once, at the end.
        """
        self._finishing.set()
        if self._thread is not None:
            self._thread.join()
        if self._no_answer_at_end or time.monotonic() < self._put_off_until:  # it was waited for just now
            return False
        failed = set() if table is None else set(table.loc[table["status"] == "failed", "stage"])
        self._given_up = frozenset(failed | set(given_up))
        files = list(artifacts)
        # Looked up afresh: another driver may have made twins of our runs, or deleted ours as twins of its own.
        self._writer.forget()
        if not self._attempt(partial(self._bring_up_to_date, files, logged)):
            return False
        self._register(tickets)
        return True

    @property
    def fingerprint(self) -> str:
        """Of this grid's runs and tickets, as MLflow has them as far as the tracker knows."""
        return fingerprint(self._writer.runs.values(), self._writer.versions)

    @property
    def counts(self) -> Counts:
        """What the tracker changed in MLflow."""
        return self._writer.counts

    @property
    def registry_error(self) -> str | None:
        """What kept `finish` from registering the tickets, although the runs were written; None if nothing did."""
        return self._registry_error

    @property
    def owes_tickets(self) -> bool:
        """Whether `finish` could not register the tickets and a later run may: the registry did not refuse them."""
        return self._owes_tickets

    @property
    def last_error(self) -> str | None:
        """What kept the last attempt from writing; None if it wrote."""
        return self._last_error

    def _keep_up(self) -> None:
        wait = max(0.0, self._put_off_until - time.monotonic())
        while not self._finishing.wait(wait):
            behind = self._curves.take_behind()
            written = not behind or self._attempt(partial(self._write, behind, ended=False))
            if not written:
                self._curves.put_back(behind)
            wait = EVERY_SECONDS if written else RETRY_SECONDS

    def _attempt(self, *steps: Callable[[], None]) -> bool:
        """Run the steps, and say what goes wrong."""
        error = self._writer.attempt(*steps)
        if error is None:
            self._last_error = None
            return True
        self._no_answer_at_end = self._finishing.is_set() and is_no_answer(error)
        self._failed(error)
        return False

    def _failed(self, error: Exception) -> None:
        why = sentence(error)
        if self._last_error is None:
            self._on_problem(
                f"MLflow at {shown(self.uri)} could not be written: {why} "
                "The run goes on without it; `tickets sync` brings MLflow up to date from the store."
            )
        self._last_error = why

    def _register(self, tickets: Collection[WantedTicket]) -> None:
        error = self._writer.attempt(partial(self._writer.register, tickets))
        self._registry_error = sentence(error) if error else None
        self._owes_tickets = error is not None and not is_refusal(error)
        if error:
            self._on_problem(
                f"The runs are in MLflow at {shown(self.uri)}; the tickets could not be registered as models: "
                f"{self._registry_error} `tickets sync` tries again."
            )

    def _bring_up_to_date(self, files: list[Path], logged: str | None) -> None:
        if logged is not None and self._writer.shows(logged):
            return
        for _ in range(DRIVERS):
            self._write(self._curves.begun(), ended=True)
            self._attach(files)
            if self._writer.settled():
                return

    def _write(self, curves: Collection[int], ended: bool) -> None:
        self._writer.write(self._curves.runs(curves, self._given_up, ended=ended))

    def _attach(self, files: list[Path]) -> None:
        self._writer.attach(
            report_run(self._grid.name, round(1000 * time.time())),
            files,
            texts(self._grid, self._provenance, self._curves.made_with, self._curves.seconds),
            commit_tag(self._provenance),
        )
