"""All records in one Parquet file, so that a snapshot of 20,000 stages reads one file instead of 20,000.

Only a cache: a row counts if size and modification time are those of the listed record, and its bytes are sealed like
the record's own. The file's name carries its SHA-256, so that damage is noticed before Parquet decodes anything.
"""

import io
from collections.abc import Iterable
from typing import NamedTuple

from pipeline.engine.store import layout
from pipeline.engine.store.filesystem import Listed, StoreFolder
from pipeline.engine.store.problems import Problem


class Row(NamedTuple):
    """The sealed bytes of `done/<key>.json` as they were at that size and modification time."""

    key: str
    size: int
    mtime_ns: int
    data: bytes


def load(folder: StoreFolder, listed: Iterable[Listed]) -> tuple[dict[str, Row], list[Problem]]:
    """Rows of the newest index by key; none of a damaged one, which is named."""
    newest = max(listed, key=lambda file: file.mtime_ns, default=None)
    if newest is None:
        return {}, []
    try:
        data = folder.read(newest.path)
    except FileNotFoundError:  # replaced by a newer one since it was listed
        return {}, []
    if layout.sha256(data) != layout.parse_index(newest.path):
        what = "does not match its SHA-256; it is ignored, and records are read one by one"
        return {}, [Problem(newest.path, None, what)]
    return {row.key: row for row in _decode(data)}, []


def save(folder: StoreFolder, rows: Iterable[Row], replaced: Iterable[Listed]) -> None:
    """Write an index of these rows, then remove those that it replaces."""
    data = _encode(list(rows))
    path = layout.index(layout.sha256(data))
    folder.write(path, data)
    for listed in replaced:
        if listed.path != path:
            folder.delete(listed.path)


def _encode(rows: list[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "key": pa.array([row.key for row in rows], pa.string()),
            "size": pa.array([row.size for row in rows], pa.int64()),
            "mtime_ns": pa.array([row.mtime_ns for row in rows], pa.int64()),
            "json": pa.array([row.data for row in rows], pa.large_binary()),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", use_dictionary=False)
    return buffer.getvalue()


def _decode(data: bytes) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(data))
    columns = (table.column(name).to_pylist() for name in ("key", "size", "mtime_ns", "json"))
    return [Row(*values) for values in zip(*columns, strict=True)]
