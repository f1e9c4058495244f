"""Encoded images of Parquet files in one memory-mapped file: any of them is found at once, by many processes."""

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from torch import Tensor

from pipeline.lottery.data.cache_folder import made_once
from pipeline.lottery.data.decoding import decode
from pipeline.lottery.data.geometry import Geometry
from pipeline.lottery.data.source import Encoded, Like


def spooled(file: Path, batches: Iterable[pa.RecordBatch], where: str) -> "Spool":
    """`file`, made of `batches` unless it is there: columns `bytes` (large_binary) and `name`.

    Raises DataError where it cannot be written, and whatever the batches raise.
    """

    def write(part: Path) -> None:
        with pa.OSFile(str(part), "wb") as stream, pa.ipc.new_file(stream, SCHEMA) as writer:
            for batch in _read(batches):
                writer.write_batch(batch)

    try:
        return Spool(made_once(file, write), where)
    except _ReadError as failed:
        raise failed.error from None


class _ReadError(Exception):
    """An error of reading, which is not one of the disk that is written to."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def _read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except OSError as error:
        raise _ReadError(error) from error


SCHEMA = pa.schema([("bytes", pa.large_binary()), ("name", pa.string())])


class Spool:
    """A `Source` of the images in such a file."""

    def __init__(self, file: Path, where: str) -> None:
        self._file = file
        self._where = where
        self._open()

    def read(self, indices: Sequence[int], geometry: Geometry, like: Like | None = None) -> Tensor:
        pictures = [(self.where(index), self._cell(index, "bytes").as_buffer()) for index in indices]
        return decode(pictures, geometry, like)

    def where(self, index: int) -> str:
        return f"{self._where}, image {index}"

    def encoded(self, indices: Sequence[int]) -> list[Encoded]:
        return [Encoded(self._cell(index, "bytes").as_py(), self._cell(index, "name").as_py()) for index in indices]

    def encoded_bytes(self, indices: Sequence[int]) -> int:
        return sum(len(self._cell(index, "bytes").as_buffer()) for index in indices)

    def shared(self) -> "Spool":
        return self

    @property
    def nbytes(self) -> int:
        """None: the file is mapped, and all processes share its pages."""
        return 0

    def _open(self) -> None:
        reader = pa.ipc.open_file(pa.memory_map(str(self._file)))
        self._batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        self._begins = [0, *itertools.accumulate(batch.num_rows for batch in self._batches)]

    def _cell(self, index: int, column: str) -> pa.Scalar:
        number = bisect.bisect_right(self._begins, index) - 1
        return self._batches[number].column(column)[index - self._begins[number]]

    def __getstate__(self) -> dict[str, object]:
        """A process that is started with a copy of it maps the file itself."""
        return {"_file": self._file, "_where": self._where}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._open()
