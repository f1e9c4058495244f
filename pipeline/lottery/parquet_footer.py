"""How many values of a column are null, as the footer of a Parquet file says. Imports no torch.

pyarrow ends the whole process (`terminate called after throwing ...`) when it is asked for the statistics of a column
whose entry in the footer is damaged; so they are read here. The footer is a struct in Thrift's compact protocol, its
fields those of parquet.thrift.
"""

from collections.abc import Sequence
from typing import Any

GROUPS, COLUMNS, METADATA, PATH, STATISTICS, NULLS = 4, 1, 3, 3, 12, 3
"""Numbers of the fields that are read: in the file, a group of rows, a column of it, and the column's statistics."""


def null_count(footer: bytes, path: Sequence[str]) -> int:
    """Nulls of the column in all groups of rows that have statistics; 0 where the footer cannot be understood."""
    wanted = [name.encode() for name in path]
    try:
        groups = _Reader(footer).struct()[GROUPS]
        columns = [column[METADATA] for group in groups for column in group[COLUMNS]]
        return sum(column.get(STATISTICS, {}).get(NULLS, 0) for column in columns if column[PATH] == wanted)
    except (LookupError, TypeError, AttributeError, RecursionError):
        return 0  # what is damaged is for pyarrow to say, which reads the labels


class _Reader:
    """Of Thrift's compact protocol. Raises IndexError at the end of the bytes, LookupError for an unknown type."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self) -> dict[int, Any]:
        """Values by the numbers of their fields."""
        fields: dict[int, Any] = {}
        number = 0
        while header := self._byte():
            number = number + (header >> 4) if header >> 4 else self._integer()
            kind = header & 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._integer()
        if kind == 7:
            return self._bytes(8)
        if kind == 8:
            return self._bytes(self._unsigned())
        if kind in (9, 10):
            header = self._byte()
            count = header >> 4 if header >> 4 != 15 else self._unsigned()
            return [self._value(header & 15) for _ in range(count)]
        if kind == 12:
            return self.struct()
        raise LookupError(f"no value of type {kind}")  # maps, which parquet.thrift has none of

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]

    def _unsigned(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def _integer(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)
