"""A store's folder on an object store, through pyarrow.fs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.engine.addresses import shown
from pipeline.engine.store.filesystem import Listed
from pipeline.engine.store.patience import Patience

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_WITHOUT_FOLDERS = ("s3", "gcs")


class RemoteFolder:
    """A `StoreFolder` at `base` of a `pyarrow.fs.FileSystem`, whose writes become visible when they are closed.

    What fails for a moment is tried again: see `patience`, also for what is raised in the end.
    """

    def __init__(self, filesystem: FileSystem, base: str, patience: Patience | None = None) -> None:
        self.filesystem = filesystem
        self.base = base.rstrip("/")
        self._patiently = patience or Patience(shown(self.base))

    def read(self, path: str) -> bytes:
        return self._patiently(lambda: self._read(path))

    def read_line(self, listed: Listed) -> bytes:
        # A file that pyarrow opens by its path is asked for its size first: a request more for each. The fragment of
        # a data set is told the size, and CSV is the format that gives its bytes as they are. Whatever is not as
        # the listing said, or fails, is for `read`.
        from pyarrow import ArrowException

        try:
            line = _line_of(self.filesystem, self._full(listed.path), listed.size)
        except (OSError, ArrowException):
            line = None
        return self.read(listed.path) if line is None or len(line) + 1 != listed.size else line + b"\n"

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        self._patiently(lambda: self._write(path, data))

    def create(self, path: str, data: bytes) -> bool:
        # pyarrow cannot put-if-absent: two writers at once may both be told True.
        if self.stat(path) is not None:
            return False
        self.write(path, data)
        return True

    def stat(self, path: str) -> Listed | None:
        found = self._patiently(lambda: self.filesystem.get_file_info(self._full(path)))
        return Listed(path, found.size, found.mtime_ns) if found.is_file else None

    def files(self, path: str) -> list[Listed]:
        from pyarrow.fs import FileSelector

        selector = FileSelector(self._full(path), recursive=True, allow_not_found=True)
        skip = len(self.base) + 1 if self.base else 0
        return [
            Listed(found.path[skip:], found.size, found.mtime_ns)
            for found in self._patiently(lambda: self.filesystem.get_file_info(selector))
            if found.is_file
        ]

    def leftovers(self) -> list[Listed]:
        return []

    def misplaced(self) -> list[Listed]:
        return []  # an object store has no folders whose places could be taken

    def delete(self, path: str) -> None:
        self._patiently(lambda: self._delete(path))

    def delete_folder(self, path: str) -> None:
        # One by one: delete_dir on an object store leaves an empty object in place of the parent folder.
        for listed in self.files(path):
            self.delete(listed.path)

    def _read(self, path: str) -> bytes:
        # Not open_input_stream, which asks an object store for a quarter of a megabyte at a time (measured).
        with self.filesystem.open_input_file(self._full(path)) as file:
            return bytes(file.read())

    def _write(self, path: str, data: bytes) -> None:
        full = self._full(path)
        # Object stores have no folders; creating them there would leave an empty object for each.
        if self.filesystem.type_name not in _WITHOUT_FOLDERS:
            self.filesystem.create_dir(full.rpartition("/")[0], recursive=True)
        # An exception inside open_output_stream commits what was written so far as the whole object (measured on
        # S3), so the stream opens only when every byte is there, and one write is all that happens in it.
        with self.filesystem.open_output_stream(full) as stream:
            stream.write(data)

    def _delete(self, path: str) -> None:
        full = self._full(path)
        if self.filesystem.get_file_info(full).is_file:
            try:
                self.filesystem.delete_file(full)
            except FileNotFoundError:  # another process was faster
                return

    def _full(self, path: str) -> str:
        return f"{self.base}/{path}" if self.base else path


def _line_of(filesystem: FileSystem, path: str, size: int) -> bytes | None:
    """The bytes of a file of `size` bytes up to its end of line; None where it is not one line."""
    import pyarrow as pa
    from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions
    from pyarrow.dataset import CsvFileFormat

    whole = CsvFileFormat(
        parse_options=ParseOptions(delimiter="\x1f", quote_char=False, escape_char=False),  # JSON escapes that one
        read_options=ReadOptions(column_names=["line"], block_size=size + 1, use_threads=False),
        convert_options=ConvertOptions(column_types={"line": pa.binary()}),
    )
    fragment = whole.make_fragment(path, filesystem, file_size=size)
    lines = fragment.to_table(schema=pa.schema([("line", pa.binary())]), use_threads=False).column("line")
    return lines[0].as_py() if len(lines) == 1 else None
