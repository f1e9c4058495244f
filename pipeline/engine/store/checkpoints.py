"""Resumable states of long stages, each attempt in a folder of its own."""

from pipeline.engine.store import layout
from pipeline.engine.store.filesystem import StoreFolder

KEPT = 2
"""Per attempt: the newest, and one more in case that one is damaged."""


class Checkpoints:
    """Those of a store."""

    def __init__(self, folder: StoreFolder) -> None:
        self._folder = folder

    def write(self, key: str, attempt: str | int, iteration: int, data: bytes) -> None:
        """Keep a state, and the one before it. `attempt` must be this attempt's alone, over all drivers."""
        self._folder.write(layout.checkpoint(key, attempt, iteration, layout.sha256(data)), data)
        for _, path, _ in self._newest_first(layout.attempt(key, attempt))[KEPT:]:
            self._folder.delete(path)

    def best(self, key: str) -> tuple[int, bytes] | None:
        """Iteration and bytes of the furthest state, of any attempt, whose hash verifies."""
        for iteration, path, digest in self._newest_first(layout.checkpoints(key)):
            try:
                data = self._folder.read(path)
            except FileNotFoundError:  # its attempt lives and has removed it
                continue
            if layout.sha256(data) == digest:
                return iteration, data
        return None

    def keys(self) -> set[str]:
        """The stages that have checkpoints."""
        named = (layout.parse_checkpoint(listed.path) for listed in self._folder.files("checkpoints"))
        return {parsed[0] for parsed in named if parsed is not None}

    def drop(self, key: str) -> None:
        self._folder.delete_folder(layout.checkpoints(key))

    def _newest_first(self, path: str) -> list[tuple[int, str, str]]:
        found = []
        for listed in self._folder.files(path):
            named = layout.parse_checkpoint(listed.path)
            if named is not None:
                found.append((named[2], listed.path, named[3]))
        return sorted(found, reverse=True)
