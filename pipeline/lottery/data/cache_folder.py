"""Files of the cache folder that are made once: statistics and encoded images."""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline.lottery.cache_folder import VARIABLE, cache_folder
from pipeline.lottery.data.errors import DataError

__all__ = ["cache_folder", "made_once"]


def made_once(file: Path, write: Callable[[Path], None]) -> Path:
    """`file`, written by `write` under another name first unless it is there: it is whole, or not there at all.

    Processes of one machine that ask at once wait for the first; what a killed one left is removed. Raises DataError
    where the folder cannot be used.
    """
    if file.is_file():
        return file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.with_suffix(".lock").open("w") as lock:
            prefix = f".part-{file.stem}-"
            with contextlib.suppress(OSError):  # no locks on this file system: each writes, and either is whole
                fcntl.flock(lock, fcntl.LOCK_EX)
                for left in file.parent.glob(f"{prefix}*"):
                    shutil.rmtree(left, ignore_errors=True)
            if not file.is_file():
                with tempfile.TemporaryDirectory(prefix=prefix, dir=file.parent) as scratch:
                    part = Path(scratch) / file.name
                    write(part)
                    part.replace(file)
    except OSError as error:
        raise DataError(
            f"{error.filename or file.parent}: {error.strerror or error}. Images are kept there while they are "
            f"streamed: make room, or set {VARIABLE} to another folder."
        ) from error
    return file
