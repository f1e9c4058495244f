"""`tickets status`, `show` and `verify`: what the store holds."""

import json
import sys
import time
from collections import Counter
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pipeline.cli.duration import duration
from pipeline.cli.options import DATA, STORE, DataOption, File, JsonOption, Overrides, StoreOption
from pipeline.experiment.errors import UserError


def status(
    file: File,
    overrides: Overrides = None,
    store: StoreOption = STORE,
    data: DataOption = DATA,
    as_json: JsonOption = False,
) -> None:
    """How far a grid is, and which drivers are at work on its store."""
    from pipeline.engine.store import Store
    from pipeline.experiment.grid import expand
    from pipeline.experiment.loading import load
    from pipeline.experiment.planning import plan

    grid = expand(load(file, overrides or []), data)
    opened = Store(store)
    snapshot = opened.snapshot()
    todo = plan(grid, snapshot)
    facts: dict[str, Any] = {
        "name": grid.name,
        "stages": len(grid.stages),
        "cached": len(todo.cached),
        "to_run": len(todo.to_run),
        "blocked": todo.blocked,
        "diverged": [key for key in grid.stages if snapshot.status(key) == "diverged"],
        "points": len(grid.points),
        "points_with_results": sum(1 for point in grid.points if snapshot.done(point.stage)),
        "drivers": {name: beat.doc for name, beat in opened.drivers().items()},
        "problems": [f"{problem.path}: {problem.what}" for problem in snapshot.problems],
        "bytes": opened.bytes_by_area(),
    }
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    print(f"{grid.name}: {facts['cached']} of {facts['stages']} stages done, {facts['to_run']} to run")
    print(f"results: {facts['points_with_results']} of {facts['points']} points; {len(facts['diverged'])} diverged")
    for name, doc in facts["drivers"].items():
        print(f"driver {name}: {doc.get('experiment')}, {doc.get('done')} of {doc.get('total')} stages")
        for lane in doc.get("lanes", []):
            print(f"  {lane['lane']}: {lane['stage']} {lane['done']}, {duration(lane['seconds'])}")
    for problem in facts["problems"]:
        print(f"problem: {problem}")
    print("store: " + ", ".join(f"{area} {size / 1e6:.1f} MB" for area, size in facts["bytes"].items()))


def show(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A stage's key, or its beginning.")],
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """One stage: what it is, what it was made from and with, and its history."""
    from pipeline.engine.store import MissingOutput, Store

    opened = Store(store)
    record = opened.record(_whole_key(key, opened))
    assert record is not None
    try:
        history = json.loads(opened.read(record["key"], "history"))
    except MissingOutput:
        history = []
    if as_json:
        print(json.dumps({**record, "history": history}, indent=2))
        return
    console = Console()
    console.print(f"[bold]{record['label']}[/bold]  {record['status']}", highlight=False)
    finished = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record["finished"]))
    facts = Table(box=None, show_header=False, padding=(0, 2))
    facts.add_row("key", record["key"])
    facts.add_row("finished", f"{finished}, after {record['seconds']:.2f} s, attempt {record['attempt']}")
    facts.add_row("hardware", ", ".join(f"{name} {value}" for name, value in record["hardware"].items()))
    facts.add_row("versions", ", ".join(f"{name} {value}" for name, value in record["versions"].items()))
    for role, digest in record["inputs"].items():
        facts.add_row(f"read {role}", digest)
    for name, output in record["outputs"].items():
        facts.add_row(f"output {name}", f"{output['size']:,} bytes" if "size" in output else "collected")
    console.print(facts, highlight=False)
    console.print_json(json.dumps(record["fields"]))
    for entry in history:
        print("  ".join(f"{name} {value:g}" for name, value in entry.items() if isinstance(value, int | float)))
    for name, left in record["summary"].get("survivors", {}).items():
        print(f"{name}: {left:,} of {record['summary']['total'][name]:,} weights survive")


def verify(store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Check every file of the store against its hash. Damaged ones are named; `tickets run` makes them again."""
    from pipeline.engine.store import Store

    problems = list(Store(store).verify())
    bad = [problem for problem in problems if problem.severity != "information"]
    if as_json:
        listed = [
            {"path": each.path, "key": each.key, "what": each.what, "severity": each.severity} for each in problems
        ]
        print(json.dumps(listed, indent=2))
    else:
        for problem in problems:
            print(f"{problem.severity}: {problem.path}: {problem.what}")
        counts = Counter(problem.severity for problem in problems)
        print("The store is whole." if not bad else f"{counts.total()} problems: run the grid again to repair them.")
    sys.exit(1 if bad else 0)


def _whole_key(beginning: str, store: Any) -> str:
    found = [key for key in store.snapshot() if key.startswith(beginning)]
    if not found:
        raise UserError(f"No finished stage's key begins with {beginning!r}. `tickets plan FILE --why` lists keys.")
    if len(found) > 1:
        raise UserError(f"{len(found)} keys begin with {beginning!r}: give more of it, e.g. {found[0][:16]}.")
    return str(found[0])
