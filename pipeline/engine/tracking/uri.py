"""Where MLflow keeps its runs: a database or a server, never a folder."""

from pathlib import Path
from urllib.parse import urlsplit

from pipeline.engine.addresses import shown
from pipeline.experiment.errors import UserError

SQLITE = "sqlite:///"
SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks", "databricks-uc", "uc")


def check_tracking_uri(uri: str) -> None:
    """Refuse, before a run starts, what MLflow would refuse in the middle of it. Raises UserError."""
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        raise UserError(
            f"MLflow does not track in a folder ({shown(uri)}): give a database, for instance "
            f"{SQLITE}{parts.path.rstrip('/') or 'tracking'}/mlflow.db, or the http address of a server."
        )
    if parts.scheme.partition("+")[0] not in SCHEMES:
        raise UserError(
            f"MLflow knows no tracking URI like {shown(uri)}: give a database, for instance "
            f"{SQLITE}tracking/mlflow.db, or the http address of a server."
        )


def sqlite_path(uri: str) -> Path | None:
    """The database's file, None if the tracking URI is of another kind."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0]) if uri.startswith(SQLITE) else None
