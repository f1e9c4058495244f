"""`tickets verify`: every file of a store against its hash, and stages against themselves, made again."""

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import DATA, STORE, DataOption, JsonOption, StoreOption
from pipeline.experiment.errors import UserError
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    from pipeline.engine.recomputing import Recomputed
    from pipeline.engine.store import Store


def verify(
    experiment: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE]",
            help="With --recompute: only stages of this experiment; its file says where own data and code lie.",
        ),
    ] = None,
    store: StoreOption = STORE,
    as_json: JsonOption = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="Remove damaged files, so that the next run makes them again.")
    ] = False,
    recompute: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Also make a random share of the stages again, e.g. 1%, and compare the bits; of those made on "
            "hardware of this machine's kind.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which stages --recompute chooses.")] = 0,
    data: DataOption = DATA,
) -> None:
    """Check every file of the store against its hash.

    Exit code 1 if one is damaged, or a stage that was made again came out otherwise.
    """
    from pipeline.engine.store import Store

    if experiment is not None and recompute is None:
        raise UserError(f"{experiment}: all files of the store are checked; a name or file needs --recompute.")
    share = None if recompute is None else _share(recompute)
    opened = Store(store, create=False).existing()
    problems = list(opened.verify())
    bad = [problem for problem in problems if problem.severity != "information"]
    if discard:
        for problem in bad:
            opened.discard_problem(problem)
    if not as_json:
        for problem in problems:
            print(f"{problem.severity}: {problem.path}: {problem.what}")
        files = "1 file is" if len(bad) == 1 else f"{len(bad)} files are"
        remedy = "removed" if discard else "`tickets verify --discard` removes them"
        print(f"{files} damaged: {remedy}, then `tickets run` makes them again." if bad else "The store is whole.")
    again = None if share is None else _again(experiment, opened, share, seed, data, quiet=as_json)
    if as_json:
        listed: object = [
            {"path": each.path, "key": each.key, "what": each.what, "severity": each.severity} for each in problems
        ]
        if again is not None:
            listed = {"problems": listed, "recomputed": again.differing, "failed": again.failed}
        print(json.dumps(listed, indent=2))
    sys.exit(1 if bad or (again is not None and (any(again.differing.values()) or again.failed)) else 0)


def _again(experiment: str | None, store: "Store", share: float, seed: int, data: Path, *, quiet: bool) -> "Recomputed":
    from pipeline.engine.recomputing import recompute
    from pipeline.report.named_experiment import open_experiment

    grid = None if experiment is None else open_experiment(experiment, store, data)
    known = {} if grid is None else {key: stage for key, stage in grid.stages.items() if stage.known_recipe is not None}
    say = (lambda message: None) if quiet else print
    found = recompute(store, share, seed, data, None if grid is None else grid.stages.keys(), known, say)
    if not quiet:
        _tell(found, store)
    return found


def _tell(found: "Recomputed", store: "Store") -> None:
    for why, stages in sorted(found.left_out.items()):
        print(f"left out: {count_of(stages, 'stage')} {why}")
    for key, why in found.failed.items():
        print(f"not made again: {key[:12]}: {why}")
    apart = {key: what for key, what in found.differing.items() if what}
    for key, what in apart.items():
        record = store.record(key)
        assert record is not None
        made = {**record.get("hardware", {}), **record.get("versions", {})}
        print(f"differs: {record.get('label', '')} ({key[:12]}): {', '.join(what)}")
        print(f"  was made on {', '.join(f'{name} {value}' for name, value in made.items())}")
    if not found.eligible:
        print("Nothing can be made again here.")
        return
    print(f"compared: {', '.join(f'{count:,} {name}' for name, count in sorted(found.compared.items()))}, summaries")
    equal = len(found.differing) - len(apart)
    done = count_of(len(found.differing), "stage")
    print(
        f"{done} made again, of {found.eligible:,} that could be: {equal} came out bit for bit the same"
        f"{f', {len(apart)} did not' if apart else ''}."
    )


def _share(written: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*%", written.strip())
    share = float(found[1]) / 100 if found else 0.0
    if not 0 < share <= 1:
        raise UserError(f"--recompute {written}: should be a share of the stages such as 1% or 100%.")
    return share
