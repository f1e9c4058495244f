"""`tickets report`, `sync` and `ui`: what came out, on disk, in the terminal and in MLflow."""

import os
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

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
    prepare_tracking,
)
from pipeline.cli.terminal import open_console, say
from pipeline.experiment.errors import UserError

HOST = "127.0.0.1"
"""Where MLflow's UI listens: on this machine only, it knows no users."""

if TYPE_CHECKING:
    from pipeline.engine.tracking import Tracker
    from pipeline.experiment.grid import Grid


@dataclass(frozen=True, slots=True)
class Unmade:
    """Stage keys without a record: `failed` ran and failed; `given_up` descend from what failed or diverged."""

    failed: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)


def start_tracking(grid: "Grid", tracking: str, store: str, console: Console) -> "Tracker | None":
    """The tracker of a run; None for `none`, and where MLflow has everything already (it is not imported then)."""
    if tracking == "none":
        return None
    from pipeline.engine.provenance import describe_driver
    from pipeline.engine.store import Store
    from pipeline.engine.tracking import Tracker
    from pipeline.engine.tracking_digest import is_tracked

    uri, snapshot = prepare_tracking(tracking), Store(store).snapshot()
    if is_tracked(Store(store), uri, grid, snapshot.record):
        return None
    tracker = Tracker(uri, grid, on_problem=lambda told: say(console, told, "yellow"), provenance=describe_driver())
    finished = {point.stage: record for point in grid.points if (record := snapshot.record(point.stage)) is not None}
    tracker.log_stages(finished)
    return tracker


def write_and_show(
    grid: "Grid",
    store: str,
    reports: Path,
    console: Console,
    tracker: "Tracker | None" = None,
    unmade: Unmade | None = None,
) -> None:
    """Write the report's files, print its tables, and hand the files to MLflow."""
    unmade = unmade or Unmade()
    from pipeline.engine.store import Store
    from pipeline.report.files import write_report
    from pipeline.report.results import results_table
    from pipeline.report.terminal import report as render

    opened = Store(store, create=False).existing()
    snapshot = opened.snapshot()
    table = results_table(grid, snapshot, unmade.failed)
    folder = reports / grid.name
    try:
        files = write_report(grid.name, table, folder)
    except OSError as error:
        raise UserError(
            f"The report cannot be written to {folder}: {error.strerror or error}. Results are safe in the store; "
            "choose another folder with --reports and run `tickets report`."
        ) from error
    console.print(render(table, width=console.width, plain=not console.is_terminal))
    if tracker is not None and tracker.finish(table, files, given_up=unmade.given_up):
        from pipeline.engine.tracking_digest import remember_tracked

        remember_tracked(opened, tracker, tracker.uri, grid, snapshot.record)
        say(console, f"MLflow: experiment {grid.name!r} (look at it with `tickets ui`)")
    say(console, f"Report: {folder}{os.sep} ({', '.join(sorted(path.name for path in files))})")


def report(
    file: File,
    overrides: Overrides = None,
    store: StoreOption = STORE,
    data: DataOption = DATA,
    reports: ReportsOption = REPORTS,
) -> None:
    """Write tables and curves of the results so far."""
    from pipeline.experiment.grid import expand
    from pipeline.experiment.loading import load

    write_and_show(expand(load(file, overrides or []), data), store, reports, open_console())


def sync(
    file: File,
    overrides: Overrides = None,
    store: StoreOption = STORE,
    tracking: TrackingOption = TRACKING,
    data: DataOption = DATA,
    reports: ReportsOption = REPORTS,
) -> None:
    """Log to MLflow what the store has and MLflow lacks."""
    from pipeline.engine.addresses import shown
    from pipeline.engine.provenance import describe_driver
    from pipeline.engine.store import Store
    from pipeline.engine.tracking import sync as sync_grid
    from pipeline.engine.tracking_digest import remember_tracked
    from pipeline.experiment.grid import expand
    from pipeline.experiment.loading import load
    from pipeline.experiment.planning import plan
    from pipeline.report.files import write_report
    from pipeline.report.results import results_table

    grid = expand(load(file, overrides or []), data)
    uri = _somewhere(tracking)
    opened = Store(store, create=False).existing()
    snapshot = opened.snapshot()
    given_up = plan(grid, snapshot).blocked
    table = results_table(grid, snapshot)
    files = write_report(grid.name, table, reports / grid.name)
    tracker = sync_grid(
        grid, snapshot, uri, table=table, artifacts=files, given_up=given_up, provenance=describe_driver()
    )
    remember_tracked(opened, tracker, uri, grid, snapshot.record)
    new = tracker.counts
    print(
        f"MLflow at {shown(tracking)} has all of {grid.name!r} that the store has: "
        f"{new.created} runs made, {new.points} points logged, {new.deleted} runs removed."
    )


def ui(
    tracking: TrackingOption = TRACKING,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
) -> None:
    """Open MLflow's UI on the tracking database."""
    from pipeline.engine.addresses import shown
    from pipeline.engine.tracking_uri import sqlite_path

    uri = _somewhere(tracking)
    if uri.startswith(("http://", "https://")):
        print(f"MLflow's UI is at {shown(uri)}")
        return
    database = sqlite_path(uri)
    if database is not None and not database.is_file():
        raise UserError(f"There is no tracking database {database} yet: `tickets run` or `tickets sync` makes it.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"Port {port}: {error.strerror}. Choose another with --port.") from error
    print(f"MLflow's UI on {shown(tracking)}: http://{HOST}:{port} in a few seconds; Ctrl-C ends it.", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(port)]
    # One worker: the default of four takes four times as long to start. The address by the environment: `ps` shows
    # command lines to everybody.
    os.execve(sys.executable, [*command, "--workers", "1"], {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri})


def _somewhere(tracking: str) -> str:
    if tracking == "none":
        raise UserError("--tracking none: this command needs MLflow; name a database or a server.")
    return prepare_tracking(tracking)
