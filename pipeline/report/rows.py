"""Tables from rows, and rows from tables."""

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import TypeVar

import pandas as pd

T = TypeVar("T")


def columns(types: str) -> dict[str, str]:
    """`source, ticket: string; round: int64` as what each column of a table holds, in their order."""
    parts = (part.rpartition(":") for part in types.split(";"))
    return {name.strip(): kind.strip() for names, _, kind in parts for name in names.split(",")}


def table_of(rows: Sequence[object], types: Mapping[str, str]) -> pd.DataFrame:
    """Rows (values, or dictionaries by column) as a table: `types` are its columns, and what each of them holds."""
    return pd.DataFrame(rows, columns=list(types)).astype(dict(types))


def rows_of(table: pd.DataFrame) -> Iterator[SimpleNamespace]:
    """Each row with its columns as attributes, and `index`: its label in the table's index."""
    names = ["index", *map(str, table.columns)]
    return (SimpleNamespace(**dict(zip(names, values, strict=True))) for values in table.itertuples(name=None))


def records(table: pd.DataFrame) -> list[dict[str, object]]:
    """The rows, for a template."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def groups_of(table: pd.DataFrame, column: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each value of a column, in the order of their first rows."""
    return ((str(name), rows) for name, rows in table.groupby(column, sort=False))


def evenly(items: Sequence[T], count: int) -> list[T]:
    """`count` of the items, evenly spread, the first and the last among them; all where there are no more."""
    if len(items) <= count:
        return list(items)
    return [items[round(place * (len(items) - 1) / max(1, count - 1))] for place in range(count)]
