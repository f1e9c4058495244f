"""`tickets verify`: every file of a store against its hash."""

import json
import sys
from typing import Annotated

import typer

from pipeline.cli.options import STORE, JsonOption, StoreOption


def verify(
    store: StoreOption = STORE,
    as_json: JsonOption = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="Remove damaged files, so that the next run makes them again.")
    ] = False,
) -> None:
    """Check every file of the store against its hash.

    Exit code 1 if one is damaged.
    """
    from pipeline.engine.store import Store

    opened = Store(store, create=False).existing()
    problems = list(opened.verify())
    bad = [problem for problem in problems if problem.severity != "information"]
    if discard:
        for problem in bad:
            opened.discard_problem(problem)
    if as_json:
        listed = [
            {"path": each.path, "key": each.key, "what": each.what, "severity": each.severity} for each in problems
        ]
        print(json.dumps(listed, indent=2))
    else:
        for problem in problems:
            print(f"{problem.severity}: {problem.path}: {problem.what}")
        files = "1 file is" if len(bad) == 1 else f"{len(bad)} files are"
        remedy = "removed" if discard else "`tickets verify --discard` removes them"
        print(f"{files} damaged: {remedy}, then `tickets run` makes them again." if bad else "The store is whole.")
    sys.exit(1 if bad else 0)
