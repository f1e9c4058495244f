"""`tickets sync` and `ui`: MLflow, brought up to date and opened."""

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
from pipeline.cli.reporting import write
from pipeline.experiment.errors import UserError
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    from pipeline.engine.store import Store
    from pipeline.experiment.grid import Grid

HOST = "127.0.0.1"
"""Where MLflow's UI listens: on this machine only, it knows no users."""


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
    uri = _somewhere(tracking)
    opened = Store(store, create=False).existing()
    damaged = [what for grid in work.grids for what in _sync(grid, opened, uri, tracking, reports)]
    sys.exit(1 if damaged else 0)


def _sync(grid: "Grid", opened: "Store", uri: str, tracking: str, reports: Path) -> tuple[str, ...]:
    """Returns a sentence for each file of the store that was found damaged; each of them is said."""
    from pipeline.engine.addresses import shown
    from pipeline.engine.experiments import failures
    from pipeline.engine.provenance import describe_driver
    from pipeline.engine.tracking.digest import remember_tracked
    from pipeline.engine.tracking.tickets import tickets_of
    from pipeline.engine.tracking.tracker import sync as sync_grid
    from pipeline.experiment.planning import plan
    from pipeline.report.contents import current_report, report_digest
    from pipeline.report.folders import report_folder
    from pipeline.report.gathering import gather
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
        findings = gather(grid, opened, snapshot, folder, broken)
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
        on_note=print,
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


def ui(
    tracking: TrackingOption = TRACKING,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
) -> None:
    """Open MLflow's UI on the tracking database."""
    from pipeline.engine.addresses import shown
    from pipeline.engine.tracking.database import prepare_database
    from pipeline.engine.tracking.links import experiment_links
    from pipeline.engine.tracking.problems import sentence
    from pipeline.engine.tracking.uri import sqlite_path

    uri = _somewhere(tracking)
    if uri.startswith(("http://", "https://")):
        print(f"MLflow's UI is at {shown(uri)}")
        return
    database = sqlite_path(uri)
    if database is not None and not database.is_file():
        raise UserError(f"There is no tracking database {database} yet: `tickets run` or `tickets sync` makes it.")
    if database is not None:
        try:
            prepare_database(database, print)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"The tracking database {database}: {sentence(error)}") from error
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"Port {port}: {error.strerror}. Choose another with --port.") from error
    address = f"http://{HOST}:{port}"
    print(f"MLflow's UI on {shown(tracking)}: {address} in a few seconds; Ctrl-C ends it.")
    for name, link in experiment_links(database, address).items() if database is not None else ():
        print(f"{name}: {link}")
    sys.stdout.flush()
    command = [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(port)]
    # One worker: the default of four takes four times as long to start. The address by the environment: `ps` shows
    # command lines to everybody.
    # Without its eight processes for evaluations of language models, which nothing here starts.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ, "MLFLOW_BACKEND_STORE_URI": uri}
    os.execve(sys.executable, [*command, "--workers", "1"], environment)


def _somewhere(tracking: str) -> str:
    if tracking == "none":
        raise UserError("--tracking none: this command needs MLflow; name a database or a server.")
    return prepare_tracking(tracking)
