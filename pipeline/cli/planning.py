"""What a grid, or a collection of them, would run and why.

No Ray, and torch only for a user's own model or data set.
"""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.console import Console
from rich.table import Table

from pipeline.cli.options import DATA, STORE
from pipeline.cli.quantities import duration, size
from pipeline.cli.terminal import PIPE_WIDTH, open_console
from pipeline.experiment.errors import UserError
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    from pipeline.engine.store import Snapshot
    from pipeline.experiment.estimate import Rates
    from pipeline.experiment.grid import Work
    from pipeline.experiment.planning import Plan

INDENTED: Any = {"initial_indent": "  ", "subsequent_indent": "    ", "break_on_hyphens": False}

Throughput = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads it at run time
    typer.Option(
        "--images-per-second",
        metavar="N|MODEL=N",
        help="Images of 32x32 that one device trains on in a second, as tests/benchmarks/throughput.py measures it: "
        "the time of trainings that were never timed, without decoding, evaluation and communication between workers. "
        "Repeatable, for several models.",
    ),
]


def plan(
    file: Path,
    overrides: Sequence[str] | None = None,
    store: str = STORE,
    data: Path = DATA,
    as_json: bool = False,
    images_per_second: Sequence[str] | None = None,
    mermaid: bool = False,
    why: bool = False,
) -> None:
    """What `tickets plan` prints of one file. Raises UserError."""
    from pipeline.cli.reporting import notes_on_names
    from pipeline.engine.store import Store
    from pipeline.experiment.collections import open_work
    from pipeline.experiment.planning import plan as plan_work

    work = open_work(file, overrides or [], data, without_absent=True)
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
    facts["notes"] += notes_on_names(work, opened)
    if as_json:
        print(json.dumps({**facts, "reasons": todo.reasons}, indent=2))
        return
    _show(facts, open_console())
    if why:
        for key, reason in todo.reasons.items():
            print(f"{key[:12]}  {work.stages[key].label}: {reason}")


def read_throughput(written: Sequence[str], work: "Work") -> dict[str, float]:
    """`N` and `MODEL=N` as numbers by the model's name, "" for every model. Raises UserError."""
    models = dict.fromkeys(model.name for grid in work.grids for model in grid.spec.models)
    found = {}
    for one in written:
        model, _, number = one.rpartition("=")
        try:
            rate = float(number)
        except ValueError:
            rate = math.nan
        if not 0 < rate < math.inf:
            raise UserError(
                f"--images-per-second {one}: should be a number above 0 such as 100000, or MODEL=NUMBER for one model."
            )
        if "=" in one and model not in models:
            raise UserError(
                f"--images-per-second {one}: there is no model {model!r} in {work.name}, but {', '.join(models)}."
            )
        found[model] = rate
    return found


def known_rates(snapshot: "Snapshot", throughput: dict[str, float]) -> "Rates":
    """From all trainings of the store that were timed, and from the throughput given."""
    from pipeline.experiment.estimate import Rates

    return Rates.of((record for key in snapshot if (record := snapshot.record(key)) is not None), throughput)


def describe(work: "Work", todo: "Plan", rates: "Rates", data: Path) -> dict[str, Any]:
    """The facts of a plan, as `--json` prints them. Seconds are of one lane; bytes are what stays in the store."""
    from pipeline.cli.missing_data import as_json, planned_without
    from pipeline.engine.lanes.capacity import lane_limit
    from pipeline.experiment.estimate import estimate

    time = estimate(work, todo, rates)
    roles = Counter(work.roles.values())
    waiting = Counter(work.roles[key] for key in todo.to_run)
    cached = Counter(work.roles[key] for key in todo.cached)
    kinds = Counter(stage.kind for stage in work.stages.values())
    known = any(basis.source for basis in time.bases) or not time.bases
    shapes = dict.fromkeys(
        (stage.shape.workers, stage.shape.cpus_per_worker, stage.shape.gpus_per_worker)
        for stage in work.stages.values()
    )
    return {
        "name": work.name,
        "experiments": [grid.name for grid in work.grids],
        "stages": {
            role: {"all": count, "cached": cached[role], "to_run": waiting[role]} for role, count in roles.items()
        },
        "trainings": kinds["train"],
        "prunings": kinds["prune"],
        "cached": len(todo.cached),
        "to_run": len(todo.to_run),
        "blocked": todo.blocked,
        "requested": todo.requested,
        "shared": todo.shared,
        "chain_stages": todo.chain_length,
        "chain_iterations": todo.chain_iterations,
        "chain_epochs": todo.chain_epochs,
        "seconds": time.seconds if known else None,
        "seconds_longest_chain": time.longest_chain if known else None,
        "holds_gpus": any(gpus for _, _, gpus in shapes),
        "gpu_hours": time.gpu_seconds / 3600 if known else None,
        "trainings_never_timed": time.unknown,
        "estimated_from": [asdict(basis) for basis in time.bases],
        "bytes_kept": work.kept_bytes,
        "results": len(work.points),
        "notes": list(work.notes),
        "missing_data": as_json(planned_without(work, todo, data)),
        "lane_limit": lane_limit(),
        "lane_shapes": [f"{workers} x ({cpus:g} CPU, {gpus:g} GPU)" for workers, cpus, gpus in shapes],
    }


def _show(facts: dict[str, Any], console: Console) -> None:
    print(
        f"{facts['name']}: {count_of(facts['to_run'] + facts['cached'], 'stage')} "
        f"({count_of(facts['trainings'], 'training')}, {count_of(facts['prunings'], 'pruning')}) "
        f"for {count_of(facts['results'], 'result')}"
    )
    table = Table(box=None, padding=(0, 2))
    table.add_column("")
    for column in ("all", "cached", "to run"):
        table.add_column(column, justify="right")
    for role, count in facts["stages"].items():
        table.add_row(_in_words(role), *(f"{count[column]:,}" for column in ("all", "cached", "to_run")))
    console.print(table)
    asked, saved = facts["requested"].get("train", 0), facts["shared"].get("train", 0)
    print(
        f"shared: {count_of(asked, 'training')} the paper's way (every evaluation anew), "
        f"{count_of(asked - saved, 'different one')}: {saved:,} ({100 * saved / max(1, asked):.0f} %) saved"
    )
    epochs = "" if facts["chain_epochs"] is None else f" ({count_of(facts['chain_epochs'], 'epoch')})"
    chain = f"{count_of(facts['chain_stages'], 'stage')}, {count_of(facts['chain_iterations'], 'iteration')}"
    print(f"longest chain: {chain}{epochs}")
    if facts["to_run"]:
        _show_time(facts)
    print(f"a lane holds: {', '.join(facts['lane_shapes'])}")
    print(f"store: about {size(facts['bytes_kept'])} stay when all is done")
    for reason in sorted(set(facts["blocked"].values())):
        print(f"missing: {reason}")
    for absent in facts["missing_data"]:
        print(f"missing data: {absent['said']}")
    for note in facts["notes"]:
        print(f"note: {note}")


def _show_time(facts: dict[str, Any]) -> None:
    """Time and GPU hours, what they rest on, and what they leave out."""
    if facts["seconds"] is None:
        print("time: unknown; nothing like it has run on this store yet (--images-per-second estimates it)")
        return
    never = facts["trainings_never_timed"]
    left = f", without {count_of(never, 'training')} never timed" if never else ""
    print(
        f"time: {duration(facts['seconds'])} on one lane, at least {duration(facts['seconds_longest_chain'])} "
        f"on any number{left}"
    )
    if facts["holds_gpus"]:
        print(f"GPU hours: {facts['gpu_hours']:,.1f}{left}")
    data: dict[tuple[str, str], dict[str, None]] = {}
    for basis in facts["estimated_from"]:
        from_what = f"from {basis['source']}" if basis["source"] else f"never timed on a {basis['device']}"
        data.setdefault((from_what, basis["model"]), {})[basis["data"]] = None
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
