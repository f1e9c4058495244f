"""`tickets show`: one stage, from its record and history."""

import json
import time
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline.cli.console import open_console
from pipeline.cli.options import STORE, JsonOption, StoreOption
from pipeline.cli.quantities import size
from pipeline.experiment.errors import UserError
from pipeline.lottery.counting import count_of

NAMED = 4
"""Keys that an ambiguous beginning is answered with."""


def show(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A stage's key, or its beginning.")],
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Show one stage: origin, inputs, outputs, history."""
    from pipeline.engine.store import MissingOutput, Store

    opened = Store(store, create=False).existing()
    record = opened.record(whole_key(key, opened.snapshot(), store))
    assert record is not None
    try:
        history = json.loads(opened.read(record["key"], "history"))
    except MissingOutput:  # a pruning has none
        history = []
    if as_json:
        print(json.dumps({**record, "history": history}, indent=2))
        return
    print(f"{record['label']}: {record['status']}")
    for name, value in _facts(record):
        print(f"  {name:<18} {value}")
    for name, value in record["fields"].items():
        print(f"  field {name:<12} {value if isinstance(value, str) else json.dumps(value)}")
    if history:
        open_console().print(_table(history))
    if stop := record["summary"].get("early_stop"):
        said = f"smallest validation loss after {count_of(stop['iteration'], 'iteration')}"
        print(f"{said}: test accuracy {stop['test_accuracy']:.2%}")
    for name, left in record["summary"].get("survivors", {}).items():
        total = count_of(record["summary"]["total"][name], "weight")
        print(f"{name}: {left:,} of {total} {'survives' if left == 1 else 'survive'}")


def _facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    finished = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record["finished"]))
    return [
        ("key", record["key"]),
        ("finished", f"{finished}, after {record['seconds']:.2f} s, attempt {record['attempt']}"),
        ("hardware", ", ".join(f"{name} {value}" for name, value in record["hardware"].items())),
        ("versions", ", ".join(f"{name} {value}" for name, value in record["versions"].items())),
        *((f"read {role}", f"sha256 {digest}") for role, digest in record["inputs"].items()),
        *(
            (f"output {name}", size(output["size"]) if "size" in output else "collected: made again when needed")
            for name, output in record["outputs"].items()
        ),
    ]


def _table(history: list[dict[str, Any]]) -> Table:
    names = [name for name, value in history[-1].items() if isinstance(value, int | float)]
    table = Table(box=None, padding=(0, 2))
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for entry in history:
        table.add_row(*(f"{entry[name]:.4g}" if isinstance(entry[name], float) else str(entry[name]) for name in names))
    return table


def whole_key(beginning: str, keys: Iterable[str], uri: str) -> str:
    """The one of `keys` that begins so. Raises UserError."""
    from pipeline.engine.addresses import shown

    found = sorted(key for key in keys if key.startswith(beginning))
    if not found:
        raise UserError(
            f"No finished stage in {shown(uri)} has a key that begins with {beginning!r}. "
            "`tickets plan FILE --why` lists the keys of a grid that have not run."
        )
    if len(found) > 1:
        some = ", ".join(key[:12] for key in found[:NAMED]) + (", ..." if len(found) > NAMED else "")
        raise UserError(f"{len(found)} keys begin with {beginning!r}: {some}. Give more of it.")
    return found[0]
