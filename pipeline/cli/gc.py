"""`tickets gc`: remove what a store does not need, or what is cheapest to make again."""

import re
import sys
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import STORE, StoreOption
from pipeline.cli.quantities import duration, size
from pipeline.experiment.errors import UserError
from pipeline.lottery.counting import count_of

if TYPE_CHECKING:
    from pipeline.engine.collecting import Sweep

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def gc(
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Bytes that the store may have, e.g. 200GB: beyond what nobody needs, outputs go, those first that "
            "cost the fewest seconds of training a byte. Their records and results stay.",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="NAME", help="An experiment that the budget takes nothing from. Repeatable."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it, only tell what would go.")] = False,
    store: StoreOption = STORE,
) -> None:
    """Remove what no experiment needs, or is over a budget.

    Nothing goes that a running or a published experiment reads. Exit code 1 if the budget cannot be kept.
    """
    from pipeline.engine.collecting import collecting, remove, sweep
    from pipeline.engine.store import Store

    limit = None if budget is None else _bytes(budget)
    opened = Store(store, create=False).existing()
    with collecting(opened) as others:
        found = sweep(opened, others, limit, keep or [])
        _tell(found, yes)
        if yes:
            remove(opened, found.removals)
    if found.over:
        print(f"{size(found.over)} above the budget are left: all else is protected, records or in use")
    sys.exit(1 if found.over else 0)


def _tell(found: "Sweep", yes: bool) -> None:
    kinds: Counter[str] = Counter()
    stages: dict[str, set[str]] = defaultdict(set)
    for removal in found.removals:
        kinds[removal.why] += removal.size
        stages[removal.why].add(removal.key)
    for why, count in kinds.most_common():
        seconds = sum({removal.key: removal.seconds for removal in found.removals if removal.why == why}.values())
        again = f", {duration(seconds)} to make again" if seconds else ""
        print(f"{why}: {size(count)}, of {count_of(len(stages[why]), 'stage')}{again}")
    for name, why in sorted(found.protected.items()):
        print(f"protected: {name} ({why})")
    left = found.total - found.size
    if not found.removals:
        print(f"Nothing to remove: the store has {size(found.total)}.")
    elif yes:
        print(f"Removed {size(found.size)}: the store has {size(left)} of {size(found.total)}.")
    else:
        print(f"{size(found.size)} would go, of {size(found.total)}: {size(left)} would stay. `--yes` does it.")


def _bytes(written: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMGT]?B?)", written.strip())
    unit = found[2].upper() if found else ""
    if not found or (unit and not unit.endswith("B")):
        raise UserError(f"--budget {written}: should be a size such as 500MB, 200GB or 1.5TB.")
    return round(float(found[1]) * UNITS[unit])
