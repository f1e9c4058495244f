"""Options that several commands share, with their environment variables and defaults."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from pipeline.engine.addresses import STORE as STORE
from pipeline.engine.addresses import TRACKING as TRACKING
from pipeline.experiment.errors import UserError

File = Annotated[Path, typer.Argument(metavar="FILE", help="The grid, a YAML file.")]
Experiment = Annotated[
    str, typer.Argument(metavar="NAME|FILE", help="An experiment that was run, by its name, or the grid's file.")
]
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

DATA = Path("data")
REPORTS = Path("reports")


def prepare_tracking(uri: str) -> str:
    """The tracking URI as MLflow is given it: checked, and a local SQLite file with its folder made.

    Raises UserError.
    """
    from pipeline.engine.tracking.uri import SQLITE, check_tracking_uri, sqlite_path

    check_tracking_uri(uri)
    path = sqlite_path(uri)
    if path is None:
        return uri
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The tracking database {path} cannot be made: {error.strerror} ({error.filename}). "
            f"Name another with --tracking or MLFLOW_TRACKING_URI, e.g. {TRACKING}; `none` logs nothing."
        ) from error
    return f"{SQLITE}{path.resolve()}"
