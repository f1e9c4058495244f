"""Where an archive lies: a path of this machine, or an object of a store such as s3://bucket/name.zip."""

import contextlib
import mmap
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.experiment.errors import UserError
from pipeline.lottery.locations import Folder, folder_at


@contextlib.contextmanager
def delivered(place: str) -> Iterator[Path]:
    """A file to write; it is at `place`, whole, when the block ends, and nowhere where an error leaves it.

    Raises UserError for a place where no file can be.
    """
    folder, name = _parted(place)
    local = folder.local
    if local is not None and ((local / name).is_dir() or not local.is_dir()):
        what = "is a folder" if (local / name).is_dir() else "cannot be: its folder is not there"
        raise UserError(f"{place} {what}. Name a file to write, e.g. results.zip.")
    with tempfile.TemporaryDirectory(prefix=".archive-", dir=local) as scratch:
        file = Path(scratch) / "archive.zip"
        yield file
        if local is not None:
            file.replace(local / name)
            return
        _upload(file, folder, name)


@contextlib.contextmanager
def fetched(place: str) -> Iterator[Path]:
    """The file at `place`, on this machine as long as the block lasts. Raises UserError where there is none."""
    folder, name = _parted(place)
    if folder.local is not None:
        if not (folder.local / name).is_file():
            raise UserError(f"There is no file {place}.")
        yield folder.local / name
        return
    with tempfile.TemporaryDirectory(prefix="archive-") as scratch:
        file = Path(scratch) / "archive.zip"
        try:
            with folder.filesystem.open_input_file(folder.path(name)) as source, file.open("wb") as copy:
                shutil.copyfileobj(source, copy, 2**24)
        except FileNotFoundError:
            raise UserError(f"There is no file {folder.shown(name)}.") from None
        yield file


def _parted(place: str) -> tuple[Folder, str]:
    above, _, name = place.rpartition("/")
    if "://" in place:
        return folder_at(above, Path()), name
    path = Path(place).expanduser().absolute()
    return Folder(str(path.parent)), path.name


def _upload(file: Path, folder: Folder, name: str) -> None:
    """One write of all bytes, so that nothing but the end of the process, which leaves no object, comes between."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        with folder.filesystem.open_output_stream(folder.path(name)) as stream:
            stream.write(data)
        size = folder.filesystem.get_file_info(folder.path(name)).size
        if size != len(data):
            folder.filesystem.delete_file(folder.path(name))
            raise OSError(f"{folder.shown(name)} has {size} of {len(data)} bytes after it was written: try again")
