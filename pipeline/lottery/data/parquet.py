"""Any folder of Parquet files in the layout of Hugging Face image data sets, on this machine or at a URI."""

import bisect
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import Tensor

from pipeline.lottery.data.cache_folder import cache_folder
from pipeline.lottery.data.decoding import decode
from pipeline.lottery.data.errors import DataError, may_pass
from pipeline.lottery.data.geometry import Geometry
from pipeline.lottery.data.raw import RawPart, RawSet, raw_set
from pipeline.lottery.data.source import Encoded, Like
from pipeline.lottery.data.spool import SCHEMA, Spool, spooled
from pipeline.lottery.locations import Folder, folder_at
from pipeline.lottery.parquet_files import at_once, fingerprint

LAYOUT = (
    "Expected: train*.parquet and test*.parquet (or validation*.parquet, val*.parquet), "
    "with a column of {bytes, path} images and one of integer labels."
)
ROWS = 64
"""Rows of a Parquet file that are in memory at a time."""


def parquet(fields: Mapping[str, Any], root: Path, location: str | None) -> RawSet:
    """Files in name order, rows in file order. Columns: the fields `image` and `label`.

    Raises DataError, and OSError about a network, which may pass.
    """
    if location is None:
        raise DataError(f"parquet: no folder is given. {LAYOUT}")
    folder = folder_at(location, root)
    try:
        sizes = folder.sizes()
        train = _named(folder, sizes, "train")
        test = _named(folder, sizes, "test", "validation", "val")
        content = fields.get("fingerprint")
        if content is not None and fingerprint(folder, {**train, **test}) != content:
            raise DataError(f"{folder} has changed since it was planned: other files are there now. Plan it again.")
    except OSError as error:
        if may_pass(error, folder):
            raise
        raise DataError(f"{folder} cannot be read: {error}. {LAYOUT}") from error
    columns = fields.get("image", "image"), fields.get("label", "label")
    return raw_set(
        parquet_part(folder, train, *columns, content), parquet_part(folder, test, *columns, content), str(folder)
    )


def parquet_part(
    folder: Folder, files: Mapping[str, int], image: str, label: str, content: str | None = None
) -> RawPart:
    """The part in `files` (name -> bytes). `content` names what is in the folder. Raises as `parquet`."""
    tables = at_once(lambda file: _labels(folder, file, image, label), files)
    source = RowGroups(folder, files, [len(table) for table in tables], image, content)
    return RawPart(torch.cat([torch.from_numpy(table.to_numpy().copy()).long() for table in tables]), source)


def _named(folder: Folder, sizes: Mapping[str, int], *prefixes: str) -> dict[str, int]:
    for prefix in prefixes:
        if files := {n: size for n, size in sizes.items() if n.startswith(prefix) and n.endswith(".parquet")}:
            return files
    wanted = " or ".join(f"{prefix}*.parquet" for prefix in prefixes)
    problem = f"has no {wanted}" if folder.exists() else "is not a folder"
    raise DataError(f"{folder} {problem}. {LAYOUT} Check the location and the data root (--data, TICKETS_DATA).")


def _labels(folder: Folder, file: str, image: str, label: str) -> pa.ChunkedArray:
    where = folder.shown(file)
    try:
        opened = pq.ParquetFile(folder.path(file), filesystem=folder.filesystem)
        columns = opened.schema_arrow
        for column, option in ((image, "image"), (label, "label")):
            if column not in columns.names:
                raise DataError(
                    f"{where} has no column {column!r}; set `{option}:` to one of {', '.join(columns.names)}."
                )
        kind = columns.field(image).type
        if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
            raise DataError(f"{where}: column {image!r} is {kind}. {LAYOUT}")
        if not pa.types.is_integer(columns.field(label).type):
            raise DataError(f"{where}: column {label!r} is {columns.field(label).type}, not integers.")
        labels = opened.read(columns=[label])[label]
    except (OSError, pa.ArrowException) as error:
        if may_pass(error, folder):
            raise
        raise DataError(f"{where} cannot be read as Parquet: {error}") from error
    if labels.null_count:
        raise DataError(f"{where}: {labels.null_count} rows of {label!r} have no label.")
    return labels


class RowGroups:
    """A `Source` that reads the files from the first wanted row to the last, in their order."""

    def __init__(
        self, folder: Folder, files: Mapping[str, int], rows: Sequence[int], image: str, content: str | None
    ) -> None:
        self._folder = folder
        self._files = dict(files)
        self._begins = [0, *itertools.accumulate(rows)]
        self._image = image
        self._content = content

    def read(self, indices: Sequence[int], geometry: Geometry, like: Like | None = None) -> Tensor:
        found = self._rows(indices)
        return decode([(self.where(index), found[index].data) for index in indices], geometry, like)

    def where(self, index: int) -> str:
        file, row = self._place(index)
        return f"{self._folder.shown(file)}, row {row}"

    def encoded(self, indices: Sequence[int]) -> list[Encoded]:
        found = self._rows(indices)
        return [found[index] for index in indices]

    def encoded_bytes(self, indices: Sequence[int]) -> int:
        return sum(self._files.values()) * len(indices) // self._begins[-1]

    def shared(self) -> Spool:
        """The same in a file of the cache folder, made once on each machine: Parquet has no quick way to one row."""
        name = hashlib.sha256(repr((self._content, self._image, self._told_apart_by())).encode()).hexdigest()
        return spooled(cache_folder() / "images" / f"{name}.arrow", self._batches(), str(self._folder))

    @property
    def nbytes(self) -> int:
        return 0

    def _told_apart_by(self) -> object:
        """The files; where no content is named, also their place and their age."""
        if self._content is not None:
            return list(self._files)
        infos = self._folder.filesystem.get_file_info([self._folder.path(file) for file in self._files])
        return [(info.path, info.size, info.mtime_ns) for info in infos]

    def _place(self, index: int) -> tuple[str, int]:
        number = bisect.bisect_right(self._begins, index) - 1
        return list(self._files)[number], index - self._begins[number]

    def _rows(self, indices: Sequence[int]) -> dict[int, Encoded]:
        wanted = sorted(set(indices))
        found: dict[int, Encoded] = {}
        for number, file in enumerate(self._files):
            begin, end = self._begins[number : number + 2]
            inside = wanted[bisect.bisect_left(wanted, begin) : bisect.bisect_left(wanted, end)]
            if inside:
                found |= self._of_file(file, [index - begin for index in inside], begin)
        return found

    def _of_file(self, file: str, rows: list[int], begin: int) -> dict[int, Encoded]:
        """The images in `rows`, ascending, under their indices. Groups of rows without any of them are not read."""
        found: dict[int, Encoded] = {}
        for first, column in self._columns(file, rows):
            last = first + len(column)
            for row in rows[bisect.bisect_left(rows, first) : bisect.bisect_left(rows, last)]:
                cell = column[row - first].as_py()
                found[begin + row] = Encoded(self._present(cell, file, row), cell.get("path") or "")
        return found

    def _columns(self, file: str, rows: Sequence[int]) -> Iterator[tuple[int, pa.Array]]:
        """(row, images from that row on), up to the last of `rows`; `rows` ascend."""
        try:
            opened = pq.ParquetFile(self._folder.path(file), filesystem=self._folder.filesystem)
            counts = [opened.metadata.row_group(group).num_rows for group in range(opened.num_row_groups)]
            for group, begin in enumerate([0, *itertools.accumulate(counts)][:-1]):
                inside = bisect.bisect_left(rows, begin), bisect.bisect_left(rows, begin + counts[group])
                if inside[0] == inside[1]:
                    continue
                for batch in opened.iter_batches(ROWS, row_groups=[group], columns=[self._image]):
                    yield begin, batch.column(self._image)
                    begin += len(batch)
                    if begin > rows[inside[1] - 1]:
                        break
        except (OSError, pa.ArrowException) as error:
            if may_pass(error, self._folder):
                raise
            raise DataError(f"{self._folder.shown(file)} cannot be read as Parquet: {error}") from error

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for number, file in enumerate(self._files):
            begin, end = self._begins[number : number + 2]
            for first, column in self._columns(file, range(end - begin)):
                data = pc.struct_field(column, "bytes")
                if data.null_count:
                    missing = data.is_null().index(True).as_py()
                    self._present({"bytes": None}, file, first + missing)
                named = column.type.get_field_index("path") >= 0
                names = pc.struct_field(column, "path") if named else pa.nulls(len(column))
                columns = [data.cast(pa.large_binary()), names.cast(pa.string()).fill_null("")]
                yield pa.record_batch(columns, schema=SCHEMA)

    def _present(self, cell: Mapping[str, Any] | None, file: str, row: int) -> bytes:
        data = cell.get("bytes") if cell else None
        if not isinstance(data, bytes):
            raise DataError(
                f"{self._folder.shown(file)}, row {row}: the image is a path without its bytes. "
                "Write the Parquet with the images embedded."
            )
        return data
