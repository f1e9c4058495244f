"""The folder a store lives in: the few operations it needs, the same on a disk and on an object store."""

from typing import NamedTuple, Protocol


class Listed(NamedTuple):
    """One file of a listing."""

    path: str
    size: int
    mtime_ns: int
    """By the clock of the file system that holds it."""


class StoreFolder(Protocol):
    """Paths are relative to the folder. A reader never sees half of a file; a folder in its place is an empty file."""

    def read(self, path: str) -> bytes:
        """The whole file; FileNotFoundError where there is none."""

    def read_line(self, listed: Listed) -> bytes:
        """As `read`, in one request where a listing was right about a file that is one line (sealed JSON)."""

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """Create or replace the file, its folders with it. `durable`: it outlives a power cut that follows."""

    def create(self, path: str, data: bytes) -> bool:
        """Write the file unless it exists; False if it does. Atomic on a disk, best effort on an object store."""

    def stat(self, path: str) -> Listed | None:
        """Size and modification time of one file, None where there is none."""

    def files(self, path: str) -> list[Listed]:
        """All files under `path`, at any depth, without temporary files; none where there is no such folder."""

    def leftovers(self) -> list[Listed]:
        """Temporary files that a killed writer left (or a living one is writing)."""

    def misplaced(self) -> list[Listed]:
        """Files in the places of areas."""

    def delete(self, path: str) -> None:
        """Remove the file, and a stage's folder that is empty then; nothing where there is none."""

    def delete_folder(self, path: str) -> None:
        """Remove the folder and all that is in it; nothing where there is none."""
