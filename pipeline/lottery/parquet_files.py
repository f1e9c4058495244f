"""Parquet files of a folder: opened several at once, and told apart without their rows. Imports no torch."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from pipeline.lottery.locations import Folder

if TYPE_CHECKING:
    from pyarrow import NativeFile

Result = TypeVar("Result")

REQUESTS = 16
"""Files of an object store that are asked at once; a set of 1,400 shards would take minutes one after another."""


class ParquetError(ValueError):
    """What is wrong with a Parquet set; `option`, of the data set, is what it is about: path, image or label."""

    def __init__(self, what: str, option: str = "path") -> None:
        super().__init__(what)
        self.option = option


def at_once(ask: Callable[[str], Result], files: Iterable[str]) -> list[Result]:
    """What `ask` returns for each file, in their order. Raises what it raises for the first one."""
    with ThreadPoolExecutor(REQUESTS) as threads:
        return list(threads.map(ask, files))


def fingerprint(folder: Folder, files: Mapping[str, int]) -> str:
    """SHA-256 over names, sizes and footers; a footer holds the statistics and offsets of all its file's columns.

    `files`: bytes by name. Raises OSError.
    """
    footers = at_once(lambda file: _footer(folder, file, files[file]), files)
    digest = hashlib.sha256()
    for (file, size), footer in zip(files.items(), footers, strict=True):
        digest.update(f"{file}\0{size}\0".encode())
        digest.update(footer)
    return digest.hexdigest()


def _footer(folder: Folder, file: str, size: int) -> bytes:
    with folder.filesystem.open_input_file(folder.path(file)) as opened:
        return footer(opened, size)


def footer(opened: "NativeFile", size: int) -> bytes:
    """The footer of a file of pyarrow, its length and the magic at its end. Raises OSError."""
    opened.seek(max(0, size - 8))
    length = int.from_bytes(opened.read(4), "little")
    opened.seek(max(0, size - 8 - length))
    return bytes(opened.read())
