"""Who is working on what: advice that keeps two drivers from doing the same work. Correctness never depends on it.

A driver lives as long as it rewrites its heartbeat file. Ages are differences between two modification times that the
same file system gave, so that no two machines' clocks are compared.
"""

from dataclasses import dataclass
from typing import Any

from pipeline.engine.store import documents, layout, sealed
from pipeline.engine.store.filesystem import Folder


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a driver last said, and when: seconds since 1970 by the file system's clock."""

    driver: str
    doc: dict[str, Any]
    at: float


def beat(folder: Folder, driver: str, doc: dict[str, Any]) -> None:
    path = layout.driver(driver)
    folder.write(path, sealed.seal(path, doc), durable=False)


def drivers(folder: Folder, stale_after: float) -> dict[str, Heartbeat]:
    """Drivers whose heartbeat is at most `stale_after` seconds older than the newest of all.

    A damaged heartbeat has an empty document.
    """
    listed = folder.files("drivers")
    newest = max((file.mtime_ns for file in listed), default=0)
    return {
        driver: Heartbeat(driver, documents.read(folder, file.path) or {}, file.mtime_ns / 1e9)
        for file in sorted(listed)
        if newest - file.mtime_ns <= stale_after * 1e9 and (driver := layout.stem(file.path))
    }


def claim(folder: Folder, key: str, driver: str, stale_after: float) -> bool:
    """Whether `driver` should work on the stage: it is free, its own, or its holder is gone.

    Gone: retired, or silent for `stale_after` seconds before the driver's own last heartbeat. A driver without a
    heartbeat gets nothing: it was killed and retired by another, and this is a lane that outlived it.
    """
    if folder.stat(layout.driver(driver)) is None:
        return False
    path = layout.claim(key)
    data = sealed.seal(path, {"driver": driver})
    if folder.create(path, data):
        return True
    holder = _holder(folder, key)
    if holder == driver:
        return True
    if holder is not None and not _is_stale(folder, holder, driver, stale_after):
        return False
    folder.write(path, data, durable=False)
    return _holder(folder, key) == driver  # another driver may have taken over at the same moment


def release(folder: Folder, key: str, driver: str) -> None:
    """Give the claim back, if it is still the driver's; a damaged one is nobody's, and is removed."""
    if _holder(folder, key) in (driver, None):
        folder.delete(layout.claim(key))


def retire(folder: Folder, driver: str, stale_after: float) -> None:
    """Remove the driver's claims and its heartbeat, and heartbeats as old as a dead driver's.

    Without a heartbeat a claim is void, as with an old one; a driver that was only stopped beats again.
    """
    for listed in folder.files("claims"):
        release(folder, layout.stem(listed.path), driver)
    for listed in folder.files("drivers"):
        if _is_stale(folder, layout.stem(listed.path), driver, stale_after):
            folder.delete(listed.path)
    folder.delete(layout.driver(driver))


def _holder(folder: Folder, key: str) -> str | None:
    content = documents.read(folder, layout.claim(key))
    return content["driver"] if content else None


def _is_stale(folder: Folder, holder: str, driver: str, stale_after: float) -> bool:
    theirs, ours = folder.stat(layout.driver(holder)), folder.stat(layout.driver(driver))
    if theirs is None:
        return True
    return ours is not None and ours.mtime_ns - theirs.mtime_ns > stale_after * 1e9
