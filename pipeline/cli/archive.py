"""`tickets archive`: an experiment of a store as one file that another store can import."""

import io
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import DATA, STORE, DataOption, Experiment, Overrides, StoreOption
from pipeline.cli.quantities import size
from pipeline.experiment.errors import UserError
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    from pipeline.engine.archive.manifest import Carried
    from pipeline.engine.store import Store
    from pipeline.experiment.grid import Grid


class More(StrEnum):
    """What `--with` adds."""

    weights = "weights"


class Less(StrEnum):
    """What `--only` leaves."""

    results = "results"


def archive(
    experiment: Experiment,
    output: Annotated[str, typer.Argument(metavar="OUT", help="File to write: a path, or a URI such as s3://b/a.zip.")],
    with_: Annotated[
        More | None,
        typer.Option("--with", help="weights: all trained weights that the store has, not only what tickets need."),
    ] = None,
    only: Annotated[
        Less | None,
        typer.Option(
            "--only",
            help="results: tables, records and histories, without masks and weights, to be published; from then on "
            "`tickets gc --budget` takes nothing from the experiment.",
        ),
    ] = None,
    overrides: Overrides = None,
    store: StoreOption = STORE,
    data: DataOption = DATA,
) -> None:
    """Write an experiment to one file, whole or as far as it is.

    `tickets import` adds it to another store, where the same grid is cached, or goes on.
    """
    from pipeline.engine.archive.writing import write
    from pipeline.engine.experiments import publish
    from pipeline.engine.store import Store
    from pipeline.report.named_experiment import open_experiment

    if with_ and only:
        raise UserError("--with and --only: give one of the two.")
    carried: Carried = "weights" if with_ else "results" if only else "tickets"
    opened = Store(store, create=False).existing()
    grid = open_experiment(experiment, opened, data, overrides or [])
    made = write(grid, opened, output, carried, _tables(grid, opened) if only else {})
    if only:
        publish(opened, grid.name)
    manifest = made.manifest
    print(
        f"{output}: {manifest.done} of {count_of(manifest.stages, 'stage')} of {manifest.experiment}, "
        f"{count_of(len(manifest.members), 'file')}, {size(manifest.size)} unpacked"
    )
    if made.lost:
        lost = count_of(made.lost, "output is", "outputs are")
        print(f"note: {lost} missing in the store, and so not in it; `tickets run` makes them again")


def _tables(grid: "Grid", store: "Store") -> dict[str, bytes]:
    """The tables of the report, as Parquet."""
    from pipeline.report.report import gather
    from pipeline.report.report_files import tables

    findings = gather(grid, store, store.snapshot())
    written = {}
    for table in tables():
        buffer = io.BytesIO()
        findings.of(table).to_parquet(buffer, index=False)
        written[f"{table.name}.parquet"] = buffer.getvalue()
    return written
