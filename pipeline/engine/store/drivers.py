"""The drivers that work on a store: each lives as long as it rewrites its heartbeat file.

Ages are differences between two modification times that the same file system gave, so that no two machines' clocks are
compared.
"""

from dataclasses import dataclass
from typing import TypedDict

from pipeline.engine.store import layout, sealed
from pipeline.engine.store.documents import read_sealed
from pipeline.engine.store.filesystem import StoreFolder


class BusyLane(TypedDict):
    """A lane at its stage."""

    lane: str
    stage: str
    """Its label."""
    iteration: int
    iterations: int


class DriverStatus(TypedDict, total=False):
    """What a driver says of itself and of its run."""

    experiment: str
    """Name of what it works on, a grid or a collection."""
    experiments: list[str]
    """Names of the grids."""
    documents: list[str]
    """Where the store remembers the grids; absent before it does."""
    collects: bool
    """Whether it removes what nobody needs: others wait."""
    total: int
    """Stages to run, as in the next field; absent before lanes are there."""
    done: int
    lanes: list[BusyLane]
    waiting: list[str]
    """What waits for a lane of its shape, in words."""
    machine: str
    """Where its process id means something."""
    pid: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a driver last said, and when: seconds since 1970 by the file system's clock."""

    driver: str
    status: DriverStatus
    at: float


class Drivers:
    """Those of a store."""

    def __init__(self, folder: StoreFolder, stale_after: float) -> None:
        """`stale_after`: seconds without a heartbeat after which a driver counts as gone."""
        self._folder, self.stale_after = folder, stale_after

    def beat(self, driver: str, status: DriverStatus) -> None:
        """Say that the driver lives, and what it does; more often than every `stale_after` seconds."""
        path = layout.driver(driver)
        self._folder.write(path, sealed.seal(path, status), durable=False)

    def living(self) -> dict[str, Heartbeat]:
        """Drivers whose heartbeat is at most `stale_after` seconds older than the newest of all.

        With no living driver this is the one that died last: its heartbeat's `at` says when. A damaged heartbeat says
        nothing.
        """
        listed = self._folder.files("drivers")
        newest = max((file.mtime_ns for file in listed), default=0)
        return {
            driver: Heartbeat(driver, self._status(file.path), file.mtime_ns / 1e9)
            for file in sorted(listed)
            if newest - file.mtime_ns <= self.stale_after * 1e9 and (driver := layout.stem(file.path))
        }

    def is_present(self, driver: str) -> bool:
        """Whether the driver has a heartbeat: it has neither ended nor been retired by another one."""
        return self._folder.stat(layout.driver(driver)) is not None

    def is_stale(self, other: str, driver: str) -> bool:
        """Whether `other` is retired, or was silent for `stale_after` seconds before the driver's last heartbeat."""
        theirs, ours = self._folder.stat(layout.driver(other)), self._folder.stat(layout.driver(driver))
        if theirs is None:
            return True
        return ours is not None and ours.mtime_ns - theirs.mtime_ns > self.stale_after * 1e9

    def remove(self, driver: str) -> None:
        """Remove the driver's heartbeat, and those as old as a dead driver's."""
        for listed in self._folder.files("drivers"):
            if self.is_stale(layout.stem(listed.path), driver):
                self._folder.delete(listed.path)
        self._folder.delete(layout.driver(driver))

    def _status(self, path: str) -> DriverStatus:
        status: DriverStatus | None = read_sealed(self._folder, path)
        return status or DriverStatus()
