"""`tickets diff`: in what two finished stages differ."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import STORE, JsonOption, StoreOption
from pipeline.cli.show import whole_key

if TYPE_CHECKING:
    from pipeline.experiment.nearest import Difference

Key = typer.Argument(metavar="KEY", help="A stage's key, or its beginning.")


def diff(
    one: Annotated[str, Key],
    other: Annotated[str, Key],
    store: StoreOption = STORE,
    as_json: JsonOption = False,
) -> None:
    """Show the fields in which two stages differ.

    Where what they read differs, too, so do these stages, and theirs are shown as well.
    """
    from pipeline.engine.store import Store

    opened = Store(store, create=False).existing()
    snapshot = opened.snapshot()
    keys = whole_key(one, snapshot, store), whole_key(other, snapshot, store)
    labels = {key: record.get("label", "") for key in snapshot if (record := snapshot.record(key)) is not None}
    fields = {key: record["fields"] for key in snapshot if (record := snapshot.record(key)) is not None}
    pairs = list(_apart(keys, fields, set()))
    if as_json:
        listed = [{"keys": pair, "fields": [asdict(each) for each in found]} for pair, found in pairs]
        print(json.dumps(listed, indent=2))
        return
    for place, ((first, second), found) in enumerate(pairs):
        print(
            f"{'and in what they read: ' if place else ''}{labels[first]} ({first[:12]}), "
            f"{labels[second]} ({second[:12]})"
        )
        for each in found:
            print(f"  {each.field}: {each.there}, {each.now}")
    if keys[0] == keys[1]:
        print("  one stage")


def _apart(
    keys: tuple[str, str], fields: Mapping[str, Mapping[str, object]], seen: set[tuple[str, str]]
) -> "Iterator[tuple[tuple[str, str], tuple[Difference, ...]]]":
    """The two stages, then those that they read in the same place, as far as the store has both."""
    from pipeline.experiment.nearest import differences, leaves

    apart = differences(*(leaves(fields[key]) for key in keys))
    yield keys, tuple(each for each in apart if not each.is_reference)
    for each in apart:
        read = each.there.strip('"'), each.now.strip('"')
        if each.is_reference and fields.keys() >= set(read) and read not in seen:
            seen.add(read)
            yield from _apart(read, fields, seen)
