"""`tickets status`: how far a grid or collection is, and who works on it."""

import json
from pathlib import Path
from typing import Any

from pipeline.cli.options import DATA, STORE, DataOption, Experiment, JsonOption, Overrides, StoreOption
from pipeline.cli.quantities import size
from pipeline.lottery.counting import count_of


def status(
    experiment: Experiment,
    overrides: Overrides = None,
    store: StoreOption = STORE,
    data: DataOption = DATA,
    as_json: JsonOption = False,
) -> None:
    """Show how far a grid or collection is and who works on it."""
    from pipeline.engine.store import Store
    from pipeline.experiment.collections import open_work
    from pipeline.experiment.folders import SUFFIXES
    from pipeline.experiment.planning import plan
    from pipeline.report.named_experiment import open_experiment

    opened = Store(store, create=False)
    by_name = not Path(experiment).is_file() and Path(experiment).suffix not in SUFFIXES
    grid = open_experiment(experiment, opened, data, overrides or []) if by_name else None
    work = open_work(experiment, overrides or [], data) if grid is None else grid
    snapshot = opened.snapshot()
    todo = plan(work, snapshot)
    facts: dict[str, Any] = {
        "name": work.name,
        "stages": len(work.stages),
        "cached": len(todo.cached),
        "to_run": len(todo.to_run),
        "blocked": todo.blocked,
        "diverged": [key for key in work.stages if snapshot.status(key) == "diverged"],
        "experiments": {
            grid.name: sum(snapshot.done(point.stage) for point in grid.points) / len(grid.points)
            for grid in work.grids
        },
        "points": len(work.points),
        "points_with_results": sum(1 for point in work.points if snapshot.done(point.stage)),
        "drivers": {name: beat.status for name, beat in opened.drivers.living().items()},
        "problems": [f"{problem.path}: {problem.what}" for problem in snapshot.problems],
        "bytes": opened.bytes_by_area(),
    }
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        _show(facts)


def _show(facts: dict[str, Any]) -> None:
    print(f"{facts['name']}: {facts['cached']} of {count_of(facts['stages'], 'stage')} done, {facts['to_run']} to run")
    print(f"results: {facts['points_with_results']} of {count_of(facts['points'], 'point')}", end="")
    print(f"; {len(facts['diverged'])} diverged" if facts["diverged"] else "", end="")
    print(f"; {count_of(len(facts['blocked']), 'descends', 'descend')} from a diverged one" if facts["blocked"] else "")
    for name, share in facts["experiments"].items() if len(facts["experiments"]) > 1 else ():
        print(f"  {name}: {share:.0%} of its results")
    for name, doc in facts["drivers"].items():
        far = f"{doc['done']} of {count_of(doc['total'], 'stage')}" if doc.get("total") else "starting"
        print(f"at work: {name} on {doc.get('experiment', 'a grid')}, {far}")
        for lane in doc.get("lanes", ()):
            print(f"  {lane['lane']}: {lane['stage']}, iteration {lane['iteration']} of {lane['iterations']}")
        for waiting in doc.get("waiting", ()):
            print(f"  waiting for a lane: {waiting}")
    if not facts["drivers"]:
        print("at work: nobody")
    for problem in facts["problems"]:
        print(f"problem: {problem}")
    areas = {area: count for area, count in facts["bytes"].items() if count}
    print("store: " + (", ".join(f"{area} {size(count)}" for area, count in areas.items()) or "empty"))
