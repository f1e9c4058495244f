"""`tickets ui`: MLflow's UI on the tracking database."""

import os
import socket
import sys
from typing import Annotated

import typer

from pipeline.cli.options import TRACKING, TrackingOption, required_tracking
from pipeline.experiment.errors import UserError

HOST = "127.0.0.1"
"""Where MLflow's UI listens: on this machine only, it knows no users."""


def ui(
    tracking: TrackingOption = TRACKING,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
) -> None:
    """Open MLflow's UI on the tracking database."""
    from pipeline.engine.addresses import shown
    from pipeline.engine.tracking.database import prepare_database
    from pipeline.engine.tracking.failure_sentences import sentence
    from pipeline.engine.tracking.links import experiment_links
    from pipeline.engine.tracking.uri import sqlite_path

    uri = required_tracking(tracking)
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
