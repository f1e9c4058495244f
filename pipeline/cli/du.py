"""`tickets du`: what of a store's bytes is whose."""

import json
from dataclasses import asdict

from rich.table import Table

from pipeline.cli.console import open_console
from pipeline.cli.options import STORE, JsonOption, StoreOption
from pipeline.cli.quantities import size
from pipeline.lottery.counting import count_of


def du(store: StoreOption = STORE, as_json: JsonOption = False) -> None:
    """Show what takes space, by experiment and kind.

    What is an experiment's own, and what it shares with others.
    """
    from pipeline.engine.store import Store
    from pipeline.engine.usage import KINDS, usage

    found = usage(Store(store, create=False).existing())
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return
    table = Table(box=None, padding=(0, 2))
    for column in ("experiment", "stages", *KINDS, "own", "shared"):
        table.add_column(column, justify="left" if column == "experiment" else "right")
    for name, own in found.own.items():
        shared = found.shared[name]
        kinds = [own.get(kind, 0) + shared.get(kind, 0) for kind in KINDS]
        table.add_row(
            name, f"{found.stages[name]:,}", *map(_or_nothing, [*kinds, sum(own.values()), sum(shared.values())])
        )
    if found.unclaimed:
        kinds = [found.unclaimed.get(kind, 0) for kind in KINDS]
        table.add_row("(no experiment)", "", *map(_or_nothing, [*kinds, sum(kinds), 0]))
    if found.own or found.unclaimed:
        open_console().print(table)
    other = "".join(f", {area} {size(count)}" for area, count in found.other.items())
    print(f"{size(found.total)} in all{other}; {count_of(len(found.own), 'experiment')}")
    if found.unclaimed:
        print("`tickets gc` removes what is of no experiment")


def _or_nothing(count: int) -> str:
    return size(count) if count else ""
