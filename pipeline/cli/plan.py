"""`tickets plan`: what a grid, or a collection of them, would run and why.

No Ray, and torch only for a user's own model or data set.
"""

import json
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pipeline.cli.console import PIPE_WIDTH, open_console
from pipeline.cli.options import DATA, STORE, DataOption, JsonOption, Overrides, StoreOption
from pipeline.cli.plan_facts import PlanFacts, describe, known_rates, read_throughput
from pipeline.cli.plan_of_several import plan_several
from pipeline.cli.quantities import duration, size
from pipeline.cli.why import explained, nearest_there
from pipeline.experiment.errors import UserError
from pipeline.lottery.counting import count_of

INDENTED: Any = {"initial_indent": "  ", "subsequent_indent": "    ", "break_on_hyphens": False}

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="The grid, a YAML file. Several, or folders of them, make one table."),
]
Throughput = Annotated[
    list[str] | None,
    typer.Option(
        "--images-per-second",
        metavar="N|MODEL=N",
        help="Images of 32x32 that one device trains on in a second, as tests/benchmarks/throughput.py measures it: "
        "the time of trainings that were never timed, without decoding, evaluation and communication between workers. "
        "Repeatable, for several models.",
    ),
]


def plan(
    files: Files,
    overrides: Overrides = None,
    store: StoreOption = STORE,
    data: DataOption = DATA,
    as_json: JsonOption = False,
    images_per_second: Throughput = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print the DAG as a Mermaid diagram.")] = False,
    why: Annotated[
        bool,
        typer.Option(
            "--why",
            help="List every stage to run with the reason, and in what the nearest one of the store differs.",
        ),
    ] = False,
) -> None:
    """Show what a run would do, and why; runs nothing.

    Stages by kind, cached and to run; what is shared; the longest chain; estimated time, GPU hours and bytes. Of
    several files, or of folders, a line each.
    """
    if len(files) > 1 or files[0].is_dir():
        for option, given in (("--mermaid", mermaid), ("--why", why)):
            if given:
                raise UserError(
                    f"{option} is about the stages of one grid: name one YAML file, not several or a folder."
                )
        plan_several(files, overrides or [], store, data, images_per_second or [], as_json=as_json)
        return
    from pipeline.cli.report import notes_on_names
    from pipeline.engine.store import Store
    from pipeline.experiment.collections import open_work
    from pipeline.experiment.planning import plan as plan_work

    work = open_work(files[0], overrides or [], data, without_absent=True)
    throughput = read_throughput(images_per_second or [], work)
    opened = Store(store, create=False)
    snapshot = opened.snapshot()
    todo = plan_work(work, snapshot)
    if mermaid:
        from pipeline.experiment.diagram import mermaid as draw

        for grid in work.grids:
            print(draw(grid, todo))
        return
    facts = describe(work, todo, known_rates(snapshot, throughput), data)
    facts.notes.extend(notes_on_names(work, opened))
    if as_json:
        nearest = {key: asdict(near) for key, near in nearest_there(work, todo, snapshot).items()} if why else {}
        print(json.dumps({**asdict(facts), "reasons": todo.reasons, **({"nearest": nearest} if why else {})}, indent=2))
        return
    _show(facts, open_console())
    if why:
        for line in explained(work, todo, nearest_there(work, todo, snapshot), opened):
            print(line)


def _show(facts: PlanFacts, console: Console) -> None:
    print(
        f"{facts.name}: {count_of(facts.to_run + facts.cached, 'stage')} "
        f"({count_of(facts.trainings, 'training')}, {count_of(facts.prunings, 'pruning')}) "
        f"for {count_of(facts.results, 'result')}"
    )
    table = Table(box=None, padding=(0, 2))
    table.add_column("")
    for column in ("all", "cached", "to run"):
        table.add_column(column, justify="right")
    for role, count in facts.stages.items():
        table.add_row(_in_words(role), *(f"{count[column]:,}" for column in ("all", "cached", "to_run")))
    console.print(table)
    asked, saved = facts.requested.get("train", 0), facts.shared.get("train", 0)
    print(
        f"shared: {count_of(asked, 'training')} the paper's way (every evaluation anew), "
        f"{count_of(asked - saved, 'different one')}: {saved:,} ({100 * saved / max(1, asked):.0f} %) saved"
    )
    epochs = "" if facts.chain_epochs is None else f" ({count_of(facts.chain_epochs, 'epoch')})"
    chain = f"{count_of(facts.chain_stages, 'stage')}, {count_of(facts.chain_iterations, 'iteration')}"
    print(f"longest chain: {chain}{epochs}")
    if facts.to_run:
        _show_time(facts)
    print(f"a lane holds: {', '.join(facts.lane_shapes)}")
    print(f"store: about {size(facts.bytes_kept)} stay when all is done")
    for reason in sorted(set(facts.blocked.values())):
        print(f"missing: {reason}")
    for absent in facts.missing_data:
        print(f"missing data: {absent['said']}")
    for note in facts.notes:
        print(f"note: {note}")


def _show_time(facts: PlanFacts) -> None:
    """Time and GPU hours, what they rest on, and what they leave out."""
    if facts.seconds is None or facts.seconds_longest_chain is None or facts.gpu_hours is None:
        print("time: unknown; nothing like it has run on this store yet (--images-per-second estimates it)")
        return
    never = facts.trainings_never_timed
    left = f", without {count_of(never, 'training')} never timed" if never else ""
    print(
        f"time: {duration(facts.seconds)} on one lane, at least {duration(facts.seconds_longest_chain)} "
        f"on any number{left}"
    )
    if facts.holds_gpus:
        print(f"GPU hours: {facts.gpu_hours:,.1f}{left}")
    data: dict[tuple[str, str], dict[str, None]] = {}
    for basis in facts.estimated_from:
        from_what = f"from {basis.source}" if basis.source else f"never timed on a {basis.device}"
        data.setdefault((from_what, basis.model), {})[basis.data] = None
    for (from_what, model), names in data.items():
        print(fill(f"{from_what}: {model} on {', '.join(names)}", PIPE_WIDTH, **INDENTED))


def _in_words(role: str) -> str:
    """What the stages of a role do. Roles other than these are kinds of tickets."""
    known = {
        "chain": "train a source's rounds",
        "prune": "prune: a mask for each round",
        "dense": "train dense networks on targets",
        "baseline": "train baselines on targets",
    }
    return known.get(role, f"train {role} tickets on targets")
