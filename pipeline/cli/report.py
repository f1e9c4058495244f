"""`tickets report`: what came out, on disk and in the terminal; and the report that ends a run."""

import contextlib
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from pipeline.cli import options
from pipeline.cli.console import open_console, say
from pipeline.engine.addresses import shown
from pipeline.engine.waiting import waiting
from pipeline.lottery.counting import count_of

RENEW_SECONDS = 5
"""Between two looks at the store while a report is watched; a page that is partial asks for itself as often."""

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.engine.store import Store
    from pipeline.engine.tracking.tracker import Tracker
    from pipeline.experiment.grid import Grid, Work
    from pipeline.report.findings import Findings


def notes_on_names(work: "Work", store: "Store") -> list[str]:
    """What is to be said of grids whose name another experiment has in the store."""
    from pipeline.engine.experiments import other_version

    others = [grid for grid in work.grids if other_version(store, grid) is not None]
    if not others:  # the rest imports pandas
        return []
    from pipeline.report.name_taken import note_on_name

    return [note for grid in others if (note := note_on_name(grid, store)) is not None]


def start_tracking(grid: "Grid", tracking: str, store: str, console: Console) -> "Tracker | None":
    """The tracker of a run; None for `none`. MLflow is imported once there is something to log.

    Raises UserError for a server that refuses, unless all of the grid is done and logged.
    """
    if tracking == "none":
        return None
    from pipeline.engine.provenance import describe_driver
    from pipeline.engine.store import Store
    from pipeline.engine.tracking.access import check_access
    from pipeline.engine.tracking.digest import is_tracked, logged_runs
    from pipeline.engine.tracking.tracker import Tracker
    from pipeline.engine.tracking.uri import sqlite_path

    uri, opened = options.prepare_tracking(tracking), Store(store)
    with waiting(f"Waiting for the store {shown(store)}", partial(say, console)):
        snapshot = opened.snapshot()
    known = is_tracked if sqlite_path(uri) is not None else logged_runs
    away = None
    with waiting("Opening MLflow", partial(say, console)):
        logged = bool(known(opened, uri, grid, snapshot.record))
        if not logged or any(snapshot.record(point.stage) is None for point in grid.points):
            away = check_access(uri, grid.name)
    tracker = Tracker(
        uri,
        grid,
        on_problem=lambda told: say(console, told, "yellow"),
        say=lambda message: say(console, message, "yellow"),
        provenance=describe_driver(),
    )
    if away is not None:
        tracker.put_off(away)
    tracker.log_snapshot(snapshot, write=not logged)
    return tracker


@dataclass(frozen=True)
class TerminalAudience:
    """The person at the terminal, and MLflow."""

    grid: "Grid"
    store: "Store"
    console: Console
    tracker: "Tracker | None" = None

    def wait(self, sentence: str) -> None:
        say(self.console, sentence)

    def damaged(self, sentence: str) -> None:
        say(self.console, f"damaged: {sentence}", "yellow")

    def failed(self, results: "pd.DataFrame", given_up: Collection[str]) -> None:
        if self.tracker is not None:  # what the run found is logged all the same
            self.tracker.finish(results, given_up=given_up)

    def show(self, findings: "Findings", files: list[Path], given_up: Collection[str]) -> None:
        from pipeline.report.terminal_report import report as rendered

        console = self.console
        console.print(rendered(findings, width=console.width, plain=not console.is_terminal))
        for note in self.grid.notes:
            say(console, f"note: {note}", "yellow")
        if self.tracker is not None:
            self._log(self.tracker, findings, files, given_up)
        say(console, f"Report: {files[0]}")

    def _log(self, tracker: "Tracker", findings: "Findings", files: list[Path], given_up: Collection[str]) -> None:
        from pipeline.engine.tracking.digest import is_tracked, logged_runs, remember_tracked
        from pipeline.engine.tracking.tickets import tickets_of

        grid, store, snapshot = self.grid, self.store, findings.read.snapshot
        # Asked now, not before the run: what it found is not in MLflow yet, nor what other drivers did meanwhile.
        with waiting("Waiting for MLflow", self.wait):
            current = is_tracked(store, tracker.uri, grid, snapshot.record)
            if not current:
                tracker.log_snapshot(snapshot, write=False)
                logged = logged_runs(store, tracker.uri, grid, snapshot.record)
                found = tickets_of(grid, snapshot, store.uri)
                finished = tracker.finish(findings.results, files, given_up=given_up, tickets=found, logged=logged)
        if not current and finished:
            if not findings.damaged:  # a ticket of a damaged file is registered when that is mended
                remember_tracked(store, tracker, tracker.uri, grid, snapshot.record)
            say(self.console, f"MLflow: experiment {grid.name!r} (look at it with `tickets ui`)")


def report(
    experiment: options.Experiment,
    overrides: options.Overrides = None,
    store: options.StoreOption = options.STORE,
    data: options.DataOption = options.DATA,
    reports: options.ReportsOption = options.REPORTS,
    at: Annotated[
        float | None,
        typer.Option(min=0.0, max=0.999999, help="Fraction pruned at which transfers are compared, e.g. 0.95."),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(min=0.0001, max=0.9999, help="Accuracy difference that counts as none, e.g. 0.01."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Renew the page while results come in, until no more can; Ctrl-C ends it.")
    ] = False,
) -> None:
    """Write the page, figures and tables of the results so far.

    Exit code 1 if files of the store are damaged.
    """
    from pipeline.engine.store import Store
    from pipeline.report.named_experiment import open_experiment
    from pipeline.report.report import make_report

    console = open_console()
    opened = Store(store, create=False).existing()
    grid = _read_as(open_experiment(experiment, opened, data, overrides or []), at, margin)
    damaged = renew(grid, opened, reports, console) if watch else set()
    sys.exit(
        1
        if make_report(grid, opened, reports, TerminalAudience(grid, opened, console), (), anew=True) or damaged
        else 0
    )


def _read_as(grid: "Grid", at: float | None, margin: float | None) -> "Grid":
    chosen = {name: value for name, value in (("fraction_pruned", at), ("margin", margin)) if value is not None}
    analysis = grid.spec.analysis.model_copy(update=chosen)
    return replace(grid, spec=grid.spec.model_copy(update={"analysis": analysis}))


def renew(grid: "Grid", store: "Store", reports: Path, console: Console) -> set[str]:
    """Write the page again whenever results or failures are new.

    Ends when all is there, when nobody works on the grid and all that is left has failed, or with Ctrl-C. Returns a
    sentence for each file of the store that was found damaged; each of them is said.
    """
    from pipeline.engine.failures import failures
    from pipeline.experiment.planning import plan
    from pipeline.report.report import gather, write
    from pipeline.report.report_folder import report_folder

    seen, damaged = None, set[str]()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            at_work = any(grid.name in beat.status.get("experiments", ()) for beat in store.drivers.living().values())
            failed, skipped = failures(store, grid.name)
            snapshot = store.snapshot()
            left = set(plan(grid, snapshot).to_run)
            if not left or (not at_work and left <= {*failed, *skipped}):
                break
            found = sum(snapshot.done(point.stage) for point in grid.points)
            if seen != (found, failed):
                folder, version = report_folder(reports, grid, store, snapshot)
                findings = gather(grid, store, snapshot, folder)
                page, *_ = write(findings, folder, version, RENEW_SECONDS)
                for what in findings.damaged:
                    if what not in damaged:
                        say(console, f"damaged: {what}", "yellow")
                damaged.update(findings.damaged)
                runs = f"{found} of {count_of(len(grid.points), 'run')} {'has' if found == 1 else 'have'} a result"
                say(console, f"{time.strftime('%H:%M:%S')} {runs}: {page}")
                seen = found, failed
            time.sleep(RENEW_SECONDS)
    return damaged
