"""The store as a report reads it: what is damaged is left out, named, and discarded, so that the next run makes it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from typing import Protocol

from pipeline.engine.store import CorruptOutput, MissingOutput, Problem, Snapshot, layout
from pipeline.engine.store.records import Record, Records
from pipeline.experiment.grid import Grid
from pipeline.experiment.planning import plan

KEPT_BYTES = 2**28
"""Outputs that several findings read (masks, starting weights) are kept in memory up to so many bytes together."""


class Discardable(Protocol):
    """A store, as far as it is read and mended here."""

    def read(self, key: str, output: str, known: Record | None = None) -> bytes: ...
    def discard(self, key: str, output: str | None) -> None: ...


class SoundOutputs:
    """Outputs of a store. Several threads may read at once."""

    def __init__(self, store: Discardable, problems: Iterable[Problem] = (), records: Records | None = None) -> None:
        """`problems`: what is known to be damaged before anything is read; `records`: those that are known already."""
        self._store, self._records = store, records
        self._kept: dict[tuple[str, str], bytes] = {}
        self._room = KEPT_BYTES
        self._damaged = {problem.path: problem.what for problem in problems}

    @property
    def damaged(self) -> tuple[str, ...]:
        """A sentence for each file that was found damaged, or lost, so far."""
        found = sorted(self._damaged.items())
        return tuple(f"{path} {what}: it is left out, and `tickets run` makes it again." for path, what in found)

    def read(self, key: str, output: str) -> bytes | None:
        """Size and SHA-256 are checked; None for what was not made, was collected, or is damaged."""
        if (key, output) in self._kept:
            return self._kept[key, output]
        data = self._read(key, output)
        if data is not None and output != "history" and len(data) <= self._room:
            self._kept[key, output] = data
            self._room -= len(data)
        return data

    def _read(self, key: str, output: str) -> bytes | None:
        known = self._records.record(key) if self._records is not None else None
        try:
            return self._store.read(key, output, known)
        except CorruptOutput as error:
            self._damaged.setdefault(error.path, error.what)
            with contextlib.suppress(OSError):  # a store that may be read only; the next run finds it all the same
                self._store.discard(error.key, error.output)
        except MissingOutput as error:
            if error.is_lost:
                self._damaged.setdefault(error.path, error.what)  # not of one that was just discarded
        return None


def broken_files(grid: Grid, snapshot: Snapshot, given_up: Collection[str] | None = None) -> list[Problem]:
    """Records and outputs of the grid that are damaged or lost, and that a run would make again.

    `given_up`: keys of stages that will have no record; any other record that is not there was lost. None where
    results may be missing because they were never made.
    """
    to_run = plan(grid, snapshot).to_run
    found = [
        problem
        for problem in snapshot.problems
        if problem.key in to_run and (problem.output is None or problem.output in to_run[problem.key])
    ]
    if given_up is None:
        return found
    without = {key for key in to_run if not snapshot.done(key)} - {problem.key for problem in found} - {*given_up}
    return found + [Problem(layout.record(key), key, "is gone") for key in sorted(without)]
