"""Options that several commands share, with their environment variables and defaults."""

from pathlib import Path
from typing import Annotated, Optional

import typer

HOME = Path(".tickets")
"""Folder under the working directory where store and tracking database are by default."""

File = Annotated[Path, typer.Argument(metavar="FILE", help="The grid, a YAML file.")]
Overrides = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads it at run time
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a field of the grid, e.g. --set seeds=[0,1]. Repeatable."
    ),
]
StoreOption = Annotated[
    str, typer.Option("--store", envvar="TICKETS_STORE", help="Where finished stages are kept: a folder or a URI.")
]
TrackingOption = Annotated[
    str, typer.Option("--tracking", envvar="MLFLOW_TRACKING_URI", help="MLflow tracking URI; `none` logs nothing.")
]
DataOption = Annotated[Path, typer.Option("--data", envvar="TICKETS_DATA", help="Root folder of the data sets.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
ReportsOption = Annotated[Path, typer.Option("--reports", help="Folder that reports are written below.")]

STORE = str(HOME / "store")
TRACKING = f"sqlite:///{HOME / 'mlflow.db'}"
DATA = Path("data")
REPORTS = Path("reports")


def prepare_tracking(uri: str) -> str:
    """The tracking URI with its folder made, if it is a local SQLite file."""
    if uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{path.resolve()}"
    return uri
