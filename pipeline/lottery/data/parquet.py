"""Any folder of Parquet files in the layout of Hugging Face image data sets, on this machine or at a URI."""

import bisect
import contextlib
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
from pipeline.lottery.parquet_columns import bytes_of
from pipeline.lottery.parquet_files import ParquetError, fingerprint
from pipeline.lottery.parquet_labels import read_labels
from pipeline.lottery.parquet_layout import LAYOUT, parts
from pipeline.recipes.datasets import DataSet

ROWS = 64
"""Rows of a Parquet file that are in memory at a time."""


def parquet(data: DataSet, root: Path, location: str | None) -> RawSet:
    """Files in name order, rows in file order. Columns: `image` and `label` of the recipe.

    Raises DataError, and OSError about a network, which may pass.
    """
    if location is None:
        raise DataError(f"parquet: no folder is given. {LAYOUT}.")
    folder = folder_at(location, root)
    with data_errors(folder):
        found = parts(folder)
        content = data.fingerprint
        same = content is None or fingerprint(folder, found.files) == content
        labels = read_labels(folder, found.train, found.test, data.image, data.label) if same else None
        if labels is None or data.labels not in (None, labels.digest):
            raise DataError(f"{folder} has changed since it was planned: other files are there now. Plan it again.")
        labels.refuse_unseen(folder, data.label, data.classes)
    train = parquet_part(folder, found.train, labels.train, data.image, content)
    return raw_set(train, parquet_part(folder, found.test, labels.test, data.image, content), str(folder))


@contextlib.contextmanager
def data_errors(folder: Folder) -> Iterator[None]:
    """What is wrong with the folder as a DataError; an OSError that may pass stays one."""
    try:
        yield
    except (ParquetError, OSError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, OSError) and may_pass(cause, folder):
            raise cause from None
        if isinstance(error, OSError):
            raise DataError(f"{folder} cannot be read: {error}. Check the location and the data root.") from error
        raise DataError(str(error)) from error


def parquet_part(
    folder: Folder, files: Mapping[str, int], labels: Mapping[str, pa.Array], image: str, content: str | None = None
) -> RawPart:
    """The part in `files` (name -> bytes). `content` names what is in the folder."""
    source = RowGroups(folder, files, [len(of_file) for of_file in labels.values()], image, content)
    numbers = pa.chunked_array(list(labels.values())).to_numpy()
    return RawPart(torch.from_numpy(numbers.copy()), source)


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
                name = cell.get("path") if isinstance(cell, dict) else None
                found[begin + row] = Encoded(self._present(cell, file, row), name or "")
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
                data = bytes_of(column)
                if data.null_count:
                    self._present(None, file, first + data.is_null().index(True).as_py())
                named = pa.types.is_struct(column.type) and column.type.get_field_index("path") >= 0
                names = pc.struct_field(column, "path") if named else pa.nulls(len(column))
                columns = [data.cast(pa.large_binary()), names.cast(pa.string()).fill_null("")]
                yield pa.record_batch(columns, schema=SCHEMA)

    def _present(self, cell: Mapping[str, Any] | bytes | None, file: str, row: int) -> bytes:
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(data, bytes):
            raise DataError(
                f"{self._folder.shown(file)}, row {row}: there is no image, or a path without its bytes. "
                "Write the Parquet with the images embedded."
            )
        return data
