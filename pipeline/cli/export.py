"""`tickets export`: a ticket of a grid as one file that loads into anybody's model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import DATA, STORE, DataOption, Experiment, Overrides, StoreOption
from pipeline.experiment.errors import UserError

if TYPE_CHECKING:
    from pipeline.experiment.grid import Point


def export(
    experiment: Experiment,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="File to write, e.g. ticket.safetensors.")],
    source: Annotated[str | None, typer.Option(help="Name of the source. Default: the only one.")] = None,
    ticket: Annotated[str, typer.Option(help="Kind of ticket.")] = "winning",
    prune_round: Annotated[int | None, typer.Option("--round", help="Round. Default: the last one.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed. Default: the first one.")] = None,
    target: Annotated[str | None, typer.Option(help="Name of the target. Default: the source.")] = None,
    overrides: Overrides = None,
    store: StoreOption = STORE,
    data: DataOption = DATA,
) -> None:
    """Write one ticket to a file.

    The file holds mask, starting weights and provenance; `pipeline.Ticket.load` reads it.
    """
    from pipeline.engine.store import Store
    from pipeline.report.named_experiment import open_experiment

    opened = Store(store, create=False)
    grid = open_experiment(experiment, opened, data, overrides or [])
    point = choose(grid.points, ticket, source, target, seed, prune_round)
    if output.is_dir() or not output.parent.is_dir():
        raise UserError(
            f"{output}: {'a folder' if output.is_dir() else 'its folder is not there'}; name a file to write."
        )
    from pipeline.engine.assembly import assemble

    made = assemble(grid, point, opened.existing())
    made.save(output)
    print(f"{output}: {made.fraction_pruned:.2%} pruned, {grid.stages[point.stage].label}")


def choose(
    points: Sequence["Point"],
    ticket: str,
    source: str | None,
    target: str | None,
    seed: int | None,
    prune_round: int | None,
) -> "Point":
    """The one point that the options mean. Raises UserError naming the values that there are."""
    from pipeline.experiment.spec import ANY

    found = _narrow(points, "ticket", ticket)
    if source is not None and {point.source for point in found} == {ANY}:
        raise UserError(f"--source {source}: a {ticket} ticket of this grid is of no source; leave the option out.")
    found = _narrow(found, "source", source)
    if target is None and any(point.target == point.source for point in found):
        target = found[0].source
    found = _narrow(found, "target", target)
    found = _narrow(found, "seed", found[0].seed if seed is None else seed)
    found = _narrow(found, "round", max(point.round for point in found) if prune_round is None else prune_round)
    if len(found) != 1:
        raise UserError(f"{len(found)} tickets match: say --source, --target, --ticket, --round and --seed.")
    return found[0]


def _narrow(points: Sequence["Point"], name: str, value: object) -> Sequence["Point"]:
    """Points whose attribute is `value`, or whose attribute is the same for all. Never empty."""
    there = list(dict.fromkeys(getattr(point, name) for point in points))
    listed = ", ".join(map(str, there)) or "none"
    if value is None and len(there) == 1:
        return points
    if value is None:
        raise UserError(f"--{name}: say which one of {listed}.")
    if value not in there:
        raise UserError(f"--{name} {value}: here the grid has {listed}.")
    return [point for point in points if getattr(point, name) == value]
