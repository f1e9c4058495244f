"""`tickets export`: a ticket of a grid as one file that loads into anybody's model."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from pipeline.cli.options import DATA, STORE, DataOption, File, Overrides, StoreOption
from pipeline.experiment.errors import UserError


def export(
    file: File,
    output: Annotated[Path, typer.Argument(metavar="OUT", help="File to write, e.g. ticket.safetensors.")],
    source: Annotated[Optional[str], typer.Option(help="Name of the source. Default: the only one.")] = None,  # noqa: UP045
    ticket: Annotated[str, typer.Option(help="Kind of ticket.")] = "winning",
    prune_round: Annotated[Optional[int], typer.Option("--round", help="Round. Default: the last one.")] = None,  # noqa: UP045
    seed: Annotated[Optional[int], typer.Option(help="Seed. Default: the first one.")] = None,  # noqa: UP045
    target: Annotated[Optional[str], typer.Option(help="Name of the target. Default: the source.")] = None,  # noqa: UP045
    overrides: Overrides = None,
    store: StoreOption = STORE,
    data: DataOption = DATA,
) -> None:
    """Write one ticket: mask, starting weights and provenance in a safetensors file."""
    from pipeline.engine.store import Store
    from pipeline.experiment.grid import expand
    from pipeline.experiment.loading import load

    grid = expand(load(file, overrides or []), data)
    points = [point for point in grid.points if point.ticket == ticket]
    points = _narrow(points, "source", source, [point.source for point in points])
    if target is None and any(point.target == point.source for point in points):
        points = [point for point in points if point.target == point.source]
    else:
        points = _narrow(points, "target", target, [point.target for point in points])
    seeds = [point.seed for point in points]
    points = _narrow(points, "seed", seed if seed is not None else min(seeds, default=None), seeds)
    rounds = [point.round for point in points]
    points = _narrow(points, "round", prune_round if prune_round is not None else max(rounds, default=None), rounds)
    if len(points) != 1:
        raise UserError(
            f"{len(points)} points of the grid match: say --source, --target, --ticket, --round and --seed."
        )
    from pipeline.engine.assembly import assemble

    made = assemble(grid, points[0], Store(store))
    made.save(output)
    print(f"{output}: {made.fraction_pruned:.2%} pruned, {grid.stages[points[0].stage].label}")


def _narrow(points: list, name: str, value: object, known: list) -> list:  # type: ignore[type-arg]
    """Points whose attribute is `value`, or the only value there is."""
    options = sorted(set(known))
    if value is None:
        if len(options) == 1:
            return points
        raise UserError(f"--{name}: say which one of {', '.join(map(str, options)) or 'none'}.")
    if value not in options:
        raise UserError(f"--{name} {value}: the grid has {', '.join(map(str, options)) or 'none'}.")
    return [point for point in points if getattr(point, name) == value]
