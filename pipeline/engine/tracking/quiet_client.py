"""MLflow's client, so quiet and so impatient as a run needs it."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine.tracking.uri import sqlite_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A server that is away must not hold a run up: MLflow itself tries seven times, for minutes, and waits for as long
    # as the server asks it to.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "PGCONNECT_TIMEOUT": "10",
}
POOL = "MLFLOW_SQLALCHEMYSTORE_"
UNPOOLED = {f"{POOL}POOLCLASS": "NullPool"}
"""For a database in a file: connections that are kept would go on writing into one that has been deleted."""
SILENT = ("alembic", "mlflow", "sqlalchemy")
"""Loggers of what is raised as well, and told in a sentence; they print stack traces."""


def client_of(tracking_uri: str) -> MlflowClient:
    """Importing MLflow, which this does, takes two seconds."""
    local = sqlite_path(tracking_uri) is not None
    chosen = any(name.startswith(POOL) for name in os.environ)
    for variable, value in (QUIET | (UNPOOLED if local and not chosen else {})).items():
        os.environ.setdefault(variable, value)
    from mlflow import MlflowClient

    # MLflow sets its own loggers' levels when it is imported.
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if tracking_uri.startswith(("http://", "https://")):
        _set_deadlines()
    elif not local:
        _refuse_in_time()
    _have_a_folder()
    return MlflowClient(tracking_uri=tracking_uri)


def _set_deadlines() -> None:
    """MLflow's requests have timeouts that count from the last byte, and no option for any other."""
    from mlflow.utils import request_utils

    from pipeline.engine.tracking.deadline import Deadline

    for name in ("HTTPAdapter", "TCPKeepAliveHTTPAdapter"):  # what MLflow's sessions are made with, by its version
        if hasattr(request_utils, name):
            setattr(request_utils, name, Deadline)


def _refuse_in_time() -> None:
    """MLflow tries ten times to reach a database that is away, for 100 s."""
    from mlflow.store.db import utils

    utils.MAX_RETRY_COUNT = 2


def _have_a_folder() -> None:
    """MLflow asks for the current folder, and Ray removes a stopped job's while its driver still logs what is done."""
    try:
        Path.cwd()
    except FileNotFoundError:
        os.chdir(tempfile.gettempdir())
