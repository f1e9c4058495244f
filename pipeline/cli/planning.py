"""`tickets plan`: what a grid would run and why. No Ray, and torch only for a user's own model or data set."""

import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pipeline.cli.options import DATA, STORE, DataOption, File, JsonOption, Overrides, StoreOption
from pipeline.cli.quantities import duration, size
from pipeline.cli.terminal import open_console

if TYPE_CHECKING:
    from pipeline.engine.store import Snapshot
    from pipeline.experiment.grid import Grid
    from pipeline.experiment.planning import Plan


def plan(
    file: File,
    overrides: Overrides = None,
    store: StoreOption = STORE,
    data: DataOption = DATA,
    as_json: JsonOption = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print the DAG as a Mermaid diagram.")] = False,
    why: Annotated[bool, typer.Option("--why", help="List every stage to run with the reason.")] = False,
) -> None:
    """Show what a run would do, and why; runs nothing.

    Stages by kind, cached and to run; what is shared; the longest chain; estimated time and bytes.
    """
    from pipeline.engine.store import Store
    from pipeline.experiment.grid import expand
    from pipeline.experiment.loading import load
    from pipeline.experiment.planning import plan as plan_grid

    grid = expand(load(file, overrides or []), data)
    snapshot = Store(store, create=False).snapshot()
    todo = plan_grid(grid, snapshot)
    if mermaid:
        from pipeline.experiment.diagram import mermaid as draw

        print(draw(grid, todo))
        return
    facts = _describe(grid, todo, snapshot)
    if as_json:
        print(json.dumps({**facts, "reasons": todo.reasons}, indent=2))
        return
    _show(facts, open_console())
    if why:
        for key, reason in todo.reasons.items():
            print(f"{key[:12]}  {grid.stages[key].label}: {reason}")


def _describe(grid: "Grid", todo: "Plan", snapshot: "Snapshot") -> dict[str, Any]:
    """The facts of a plan, as `--json` prints them. Seconds are of one lane; bytes are what stays in the store."""
    from pipeline.engine.capacity import lane_limit
    from pipeline.experiment.estimate import estimate, seconds_per_iteration

    records = (record for key in snapshot if (record := snapshot.record(key)) is not None)
    time = estimate(grid, todo, seconds_per_iteration(records))
    roles = Counter(grid.roles.values())
    waiting = Counter(grid.roles[key] for key in todo.to_run)
    cached = Counter(grid.roles[key] for key in todo.cached)
    known = time.unknown < sum(grid.stages[key].kind == "train" for key in todo.to_run) or not todo.to_run
    shapes = dict.fromkeys(stage.shape for stage in grid.stages.values())
    return {
        "name": grid.name,
        "stages": {
            role: {"all": count, "cached": cached[role], "to_run": waiting[role]} for role, count in roles.items()
        },
        "cached": len(todo.cached),
        "to_run": len(todo.to_run),
        "blocked": todo.blocked,
        "requested": todo.requested,
        "shared": todo.shared,
        "chain_stages": todo.chain_length,
        "chain_iterations": todo.chain_iterations,
        "seconds": time.seconds if known else None,
        "seconds_longest_chain": time.longest_chain if known else None,
        "trainings_never_timed": time.unknown,
        "bytes_kept": grid.kept_bytes,
        "results": len(grid.points),
        "lane_limit": lane_limit(),
        "lane_shapes": [
            f"{shape.workers} x ({shape.cpus_per_worker:g} CPU, {shape.gpus_per_worker:g} GPU)" for shape in shapes
        ],
    }


def _show(facts: dict[str, Any], console: Console) -> None:
    print(f"{facts['name']}: {facts['to_run'] + facts['cached']} stages for {facts['results']} results")
    table = Table(box=None, padding=(0, 2))
    table.add_column("")
    for column in ("all", "cached", "to run"):
        table.add_column(column, justify="right")
    for role, count in facts["stages"].items():
        table.add_row(_in_words(role), *(f"{count[column]:,}" for column in ("all", "cached", "to_run")))
    console.print(table)
    asked, saved = facts["requested"].get("train", 0), facts["shared"].get("train", 0)
    print(f"shared: {asked:,} trainings are asked for, {asked - saved:,} are different ones")
    print(f"longest chain: {facts['chain_stages']} stages, {facts['chain_iterations']:,} iterations")
    if facts["seconds"] is None:
        print("time: unknown; nothing like it has run on this store yet")
    elif facts["to_run"]:
        left = f" and {facts['trainings_never_timed']} trainings never timed" if facts["trainings_never_timed"] else ""
        print(
            f"time: {duration(facts['seconds'])} on one lane{left}; "
            f"at least {duration(facts['seconds_longest_chain'])} on any number"
        )
    print(f"a lane holds: {', '.join(facts['lane_shapes'])}; memory here allows {facts['lane_limit']} lanes")
    print(f"store: about {size(facts['bytes_kept'])} stay when all is done")
    for reason in sorted(set(facts["blocked"].values())):
        print(f"missing: {reason}")


def _in_words(role: str) -> str:
    """What the stages of a role do. Roles other than these are kinds of tickets."""
    known = {
        "chain": "train a source's rounds",
        "prune": "prune: a mask for each round",
        "dense": "train dense networks on targets",
    }
    return known.get(role, f"train {role} tickets on targets")
