"""The store as a report reads it: what is damaged is left out, named, and discarded, so that the next run makes it."""

from __future__ import annotations

import contextlib
from typing import Protocol

from pipeline.engine.store import CorruptOutput, MissingOutput


class Discardable(Protocol):
    """A store, as far as it is read and mended here."""

    def read(self, key: str, output: str) -> bytes: ...
    def discard(self, key: str, output: str | None) -> None: ...


class SoundOutputs:
    """Outputs of a store. Several threads may read at once."""

    def __init__(self, store: Discardable) -> None:
        self._store = store
        self._damaged: dict[str, str] = {}

    @property
    def damaged(self) -> tuple[str, ...]:
        """A sentence for each file that was found damaged, or lost, so far."""
        found = sorted(self._damaged.items())
        return tuple(f"{path} {what}: it is left out, and `tickets run` makes it again." for path, what in found)

    def read(self, key: str, output: str) -> bytes | None:
        """Size and SHA-256 are checked; None for what was not made, was collected, or is damaged."""
        try:
            return self._store.read(key, output)
        except CorruptOutput as error:
            self._damaged.setdefault(error.path, error.what)
            with contextlib.suppress(OSError):  # a store that may be read only; the next run finds it all the same
                self._store.discard(error.key, error.output)
        except MissingOutput as error:
            if error.is_lost:
                self._damaged.setdefault(error.path, error.what)  # not of one that was just discarded
        return None
