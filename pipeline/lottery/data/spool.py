"""Encoded images of Parquet files in one memory-mapped file: any of them is read without a copy, by many processes."""

import bisect
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
from torch import Tensor

from pipeline.lottery.data.cache_folder import made_once
from pipeline.lottery.data.decoding import decode
from pipeline.lottery.data.geometry import Geometry
from pipeline.lottery.data.source import Encoded, Like


def spooled(file: Path, batches: Iterable[pa.RecordBatch], where: str) -> "Spool":
    """`file`, made of `batches` unless it is there: columns `bytes` (large_binary) and `name`. Raises DataError."""

    def write(part: Path) -> None:
        with pa.OSFile(str(part), "wb") as stream, pa.ipc.new_file(stream, SCHEMA) as writer:
            for batch in batches:
                writer.write_batch(batch)

    return Spool(made_once(file, write), where)


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
