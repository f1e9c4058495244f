"""Resumable states of long stages, each attempt in a folder of its own."""

from pipeline.engine.store import layout
from pipeline.engine.store.filesystem import Folder

KEPT = 2
"""Per attempt: the newest, and one more in case that one is damaged."""


def write(folder: Folder, key: str, attempt: str | int, iteration: int, data: bytes) -> None:
    """Write one state, then remove all but the newest `KEPT` of the same attempt."""
    folder.write(layout.checkpoint(key, attempt, iteration, layout.sha256(data)), data)
    for _, path, _ in _newest_first(folder, layout.attempt(key, attempt))[KEPT:]:
        folder.delete(path)


def best(folder: Folder, key: str) -> tuple[int, bytes] | None:
    """Iteration and bytes of the furthest state, of any attempt, whose hash verifies."""
    for iteration, path, digest in _newest_first(folder, layout.checkpoints(key)):
        try:
            data = folder.read(path)
        except FileNotFoundError:  # its attempt lives and has removed it
            continue
        if layout.sha256(data) == digest:
            return iteration, data
    return None


def keys(folder: Folder) -> set[str]:
    """The stages that have checkpoints."""
    named = (layout.parse_checkpoint(listed.path) for listed in folder.files("checkpoints"))
    return {parsed[0] for parsed in named if parsed is not None}


def drop(folder: Folder, key: str) -> None:
    folder.delete_folder(layout.checkpoints(key))


def _newest_first(folder: Folder, path: str) -> list[tuple[int, str, str]]:
    found = []
    for listed in folder.files(path):
        named = layout.parse_checkpoint(listed.path)
        if named is not None:
            found.append((named[2], listed.path, named[3]))
    return sorted(found, reverse=True)
