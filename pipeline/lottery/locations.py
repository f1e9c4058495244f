"""Folders of data sets: on this machine or at any pyarrow.fs URI. Imports no torch: planning needs them, too."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from pipeline.lottery.credentials import shown

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

OBJECT_STORES = ("s3", "gcs", "abfs")
"""File systems without folders; a file there appears when it is whole."""


class UnusableError(OSError):
    """No folder can be at such a place, whenever it is tried."""


@dataclass(frozen=True)
class Folder:
    """A folder of files. `place` is an absolute path, or a URI with a scheme."""

    place: str

    @cached_property
    def _opened(self) -> tuple["FileSystem", str]:
        from pyarrow.fs import FileSystem, LocalFileSystem

        if "://" not in self.place:
            return LocalFileSystem(), self.place
        try:
            filesystem, base = FileSystem.from_uri(self.place)
        except (ValueError, NotImplementedError) as error:  # pyarrow's errors are of these and of OSError
            said = str(error).splitlines()[0].replace(self.place, str(self))
            raise UnusableError(f"{self} cannot be opened: {said}") from error
        return filesystem, base.rstrip("/")

    @property
    def filesystem(self) -> "FileSystem":
        """Raises OSError."""
        return self._opened[0]

    @property
    def local(self) -> Path | None:
        """Its path if it is on this machine. Raises OSError."""
        return Path(self._opened[1]) if self.filesystem.type_name == "local" else None

    def path(self, name: str) -> str:
        """What the file system calls the file `name`. Raises OSError."""
        return f"{self._opened[1]}/{name}"

    @property
    def elsewhere(self) -> bool:
        """Whether it is not on this machine, but where its URI says."""
        return "://" in self.place

    def exists(self) -> bool:
        """Whether there is such a folder. Raises OSError."""
        from pyarrow.fs import FileType

        return bool(self.filesystem.get_file_info(self._opened[1]).type == FileType.Directory)

    def sizes(self) -> dict[str, int]:
        """Bytes of the files in it by name, in name order; those of folders below are left out. Raises OSError."""
        return self.listed()[0]

    def listed(self, below: str = "") -> tuple[dict[str, int], list[str]]:
        """Bytes of its files by name, and names of its folders, both in name order; of a folder `below` it if given.

        Nothing where there is no such folder. Raises OSError.
        """
        from pyarrow.fs import FileSelector

        place = self.path(below) if below else self._opened[1]
        found = self.filesystem.get_file_info(FileSelector(place, allow_not_found=True))
        entries = sorted(found, key=lambda info: info.base_name)
        files = {info.base_name: info.size for info in entries if info.is_file}
        return files, [info.base_name for info in entries if not info.is_file]

    def shown(self, name: str) -> str:
        """The place of a file in messages."""
        address, mark, parameters = str(self).partition("?")
        return f"{address}/{name}{mark}{parameters}"

    def __str__(self) -> str:
        """The place without credentials."""
        return shown(self.place) if self.elsewhere else self.place

    def __getstate__(self) -> dict[str, str]:
        return {"place": self.place}


def folder_at(location: str, root: Path) -> Folder:
    """`location` is a URI, or a path below `root` or absolute. `file:///folder` is the same as /folder."""
    if "://" not in location:
        return Folder(str(root / location))
    folder = Folder(location.rstrip("/"))
    return Folder(str(folder.local)) if location.startswith("file://") else folder


def own_name(location: str) -> str:
    """The last part of a path or URI: without credentials and parameters, fit to be the name of something."""
    if "://" in location:
        location = shown(location).partition("?")[0].partition("://")[2]
    return PurePath(location).name
