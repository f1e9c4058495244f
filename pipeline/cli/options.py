"""Options that several commands share, with their environment variables and defaults."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.engine.addresses import STORE as STORE
from pipeline.engine.addresses import TRACKING as TRACKING
from pipeline.experiment.errors import UserError
from pipeline.lottery.credentials import holds_secret


def refuse_secrets(what: str, value: str, instead: str) -> None:
    """Raise UserError for a password in an argument: every user of the machine reads command lines (`ps`)."""
    if holds_secret(value):
        raise UserError(
            f"{what}: its address holds a password or a key, and every user of this machine sees command lines. "
            f"{instead} the libraries read credentials from AWS_SHARED_CREDENTIALS_FILE, PGPASSFILE or "
            "~/.mlflow/credentials."
        )


def _without_secret(context: typer.Context, option: typer.CallbackParam, value: str) -> str:
    source = context.get_parameter_source(option.name or "")
    if source is not None and source.name == "COMMANDLINE":
        refuse_secrets(option.opts[0], value, f"Give it as {option.envvar}, or better leave them out:")
    return value


File = Annotated[Path, typer.Argument(metavar="FILE", help="The grid, a YAML file.")]
Experiment = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE",
        help="An experiment that was run, by its name (NAME@1: its first version), or the grid's file.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a field of the grid, e.g. --set seeds=[0,1]. Repeatable."
    ),
]
StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="TICKETS_STORE",
        callback=_without_secret,
        help="Where finished stages are kept: a folder or a URI.",
    ),
]
TrackingOption = Annotated[
    str,
    typer.Option(
        "--tracking",
        envvar="MLFLOW_TRACKING_URI",
        callback=_without_secret,
        help="MLflow tracking URI; `none` logs nothing.",
    ),
]
DataOption = Annotated[Path, typer.Option("--data", envvar="TICKETS_DATA", help="Root folder of the data sets.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
ReportsOption = Annotated[Path, typer.Option("--reports", help="Folder that reports are written below.")]

LanesOption = Annotated[
    int | None,
    typer.Option("--lanes", min=1, help="At most so many lanes. Default: what fits."),
]
FailFastOption = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first stage that fails.")]
CheckpointOption = Annotated[
    float, typer.Option("--checkpoint-minutes", min=0.0, help="Minutes between checkpoints of a long stage.")
]

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


def required_tracking(tracking: str) -> str:
    """As `prepare_tracking`, for a command that cannot do without MLflow. Raises UserError."""
    if tracking == "none":
        raise UserError("--tracking none: this command needs MLflow; name a database or a server.")
    return prepare_tracking(tracking)
