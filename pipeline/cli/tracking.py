"""`tickets sync` and `ui`: MLflow, brought up to date and opened."""

import os
import socket
import sys
from collections.abc import Collection
from dataclasses import dataclass
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
from pipeline.experiment.errors import UserError
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.engine.store import Store
    from pipeline.experiment.grid import Grid
    from pipeline.report.findings import Findings

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
    from pipeline.report.publishing import publish

    work = open_work(file, overrides or [], data)
    uri = _somewhere(tracking)
    opened = Store(store, create=False).existing()
    readers = [Reader(grid, opened, uri, tracking) for grid in work.grids]
    damaged = [what for reader in readers for what in publish(reader.grid, opened, reports, reader)]
    sys.exit(1 if damaged else 0)


@dataclass(frozen=True)
class Reader:
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
        from pipeline.engine.tracking.tickets import tickets_of
        from pipeline.engine.tracking.tracker import sync as sync_grid

        grid, store, snapshot = self.grid, self.store, findings.read.snapshot
        tracker = sync_grid(
            grid,
            snapshot,
            self.uri,
            table=findings.results,
            artifacts=files,
            given_up=given_up,
            on_note=print,
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
