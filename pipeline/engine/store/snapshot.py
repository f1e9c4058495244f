"""The state of every stage at one moment: what planning asks, answered from memory."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

from pipeline.engine.store import index, layout, payloads, records, sealed
from pipeline.engine.store.filesystem import Listed, StoreFolder
from pipeline.engine.store.index import Row
from pipeline.engine.store.problems import Problem, misplaced
from pipeline.lottery.counting import count_of

READERS = 32
"""Threads that read files: object stores answer in some 30 ms each."""

CHECKERS = 8
"""Threads that each hold the payloads of one stage in memory, one after the other."""

_SETTLED_NS = 2_000_000_000
"""S3 gives modification times in seconds: within that time a record can be rewritten and its listing stay the same."""


@dataclass
class Snapshot:
    """Implements `planning.State`. Records are parsed when they are first asked for."""

    _folder: StoreFolder
    _damaged: list[Problem]
    _done: dict[str, Row]
    _payloads: dict[str, Listed]
    _indexes: list[Listed]
    _from_index: int
    _parsed: dict[str, records.Record] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._done)

    def __iter__(self) -> Iterator[str]:
        """Keys of all stages that are done."""
        return iter(self._done)

    def done(self, key: str) -> bool:
        return key in self._done

    def record(self, key: str) -> records.Record | None:
        """The record, None where the stage is not done. Do not change it: it is shared by all who ask."""
        if key not in self._parsed and key in self._done:
            self._parsed[key] = json.loads(self._done[key].data)["content"]  # checked when it was taken
        return self._parsed.get(key)

    def status(self, key: str) -> str | None:
        """`ok` or `diverged`; None where the stage is not done."""
        record = self.record(key)
        return None if record is None else record["status"]

    def available(self, key: str, output: str) -> bool:
        """Whether the record names the output and its payload is there with the right size."""
        record = self.record(key)
        entry = record["outputs"].get(output) if record else None
        if entry is None or entry.get("collected"):
            return False
        found = self._payloads.get(entry["path"])
        return found is not None and found.size == entry["size"]

    @cached_property
    def problems(self) -> list[Problem]:
        """Damaged records (they count as not done), a damaged index, and payloads that are missing or of a wrong size.

        Parses every record when it is first asked for; `record` then answers at once.
        """
        suspects = (
            (key, output, entry)
            for key in self
            for output, entry in self._outputs(key).items()
            if not entry.get("collected") and not self.available(key, output)
        )
        named = {problem.path for problem in self._damaged}
        # Looked at again, because a run that goes on may have collected or added them while the listings were made.
        return self._damaged + [
            Problem(entry["path"], key, what, output)
            for key, output, entry in suspects
            if entry["path"] not in named and (what := payloads.lasting_fault(self._folder, key, output, entry))
        ]

    def recheck(
        self,
        keys: Iterable[str],
        *,
        say: Callable[[str], None] = lambda message: None,
        stop: threading.Event | None = None,
        alone: Callable[[], bool] = lambda: True,
    ) -> None:
        """Read outputs that were written to after the records that name them; discard those that are damaged.

        Files are written before their records, so these were changed since, made by two drivers, or copied. Where all
        of a stage's are whole its record is written again, so that they are not read another time: unless another
        driver works on the store (not `alone`), which may have collected some of them by then. What is not read when
        `stop` is set counts as whole, and is left for another time.
        """
        changed = {key: entries for key in keys if (entries := self._changed(key))}
        if not changed:
            return
        files = count_of(sum(map(len, changed.values())), "file that was", "files that were")
        say(f"Checking {files} copied or changed since their records were written ...")

        def check(key: str) -> list[str | None]:
            if stop is not None and stop.is_set():
                return []
            faults = [payloads.fault_of_file(self._folder, entry) for _, entry in changed[key]]
            path, row = layout.record(key), self._done[key]
            with contextlib.suppress(OSError):  # they are read once more the next time
                if not any(faults) and alone() and self._folder.read(path) == row.data:
                    self._folder.write(path, row.data)
            return faults

        with ThreadPoolExecutor(CHECKERS) as checkers:
            for key, faults in zip(changed, checkers.map(check, changed), strict=True):
                for (output, entry), what in zip(changed[key], faults, strict=False):  # none, when it is stopped
                    if what is not None:
                        self._damaged.append(Problem(entry["path"], key, what, output))
                        del self._payloads[entry["path"]]
                        payloads.delete(self._folder, key, [output])

    def _changed(self, key: str) -> list[tuple[str, records.Output]]:
        return [
            (output, entry)
            for output, entry in self._outputs(key).items()
            if self.available(key, output) and self._payloads[entry["path"]].mtime_ns > self._done[key].mtime_ns
        ]

    def _outputs(self, key: str) -> dict[str, records.Output]:
        record = self.record(key)
        return {} if record is None else record["outputs"]

    def compact(self) -> None:
        """Write an index of this snapshot's records, but for those so young that their listing proves little."""
        times = [file.mtime_ns for file in self._indexes] + [row.mtime_ns for row in self._done.values()]
        newest = max(times, default=0)
        rows = [
            row for row in self._done.values() if row.size == len(row.data) and row.mtime_ns <= newest - _SETTLED_NS
        ]
        index.save(self._folder, rows, self._indexes)

    @property
    def is_index_outdated(self) -> bool:
        """Whether so many records were read one by one that a new index pays, or the one there is is damaged."""
        unread = len(self._done) - self._from_index
        damaged = any(problem.path.startswith("index/") for problem in self._damaged)
        return damaged or unread > max(10, len(self._done) // 10)


def take(folder: StoreFolder) -> Snapshot:
    """List the store and read what the index does not have."""
    # Records first: a payload is written before the record that names it, so it is in the later listing.
    listed = folder.files("done")
    listed_payloads = {file.path: file for file in folder.files("outputs")}
    indexes = folder.files("index")
    rows, problems = index.load(folder, indexes)
    problems += map(misplaced, folder.misplaced())
    done: dict[str, Row] = {}
    unread: list[Listed] = []
    for file in listed:
        key = layout.parse_record(file.path)
        row = rows.get(key) if key else None
        if row and (row.size, row.mtime_ns) == (file.size, file.mtime_ns) and _is_whole(row):
            done[row.key] = row
        else:
            unread.append(file)
    from_index = len(done)
    with ThreadPoolExecutor(READERS) as readers:
        for found in readers.map(lambda file: _read(folder, file), unread):
            if isinstance(found, Row):
                done[found.key] = found
            elif found is not None:
                problems.append(found)
    return Snapshot(folder, problems, done, listed_payloads, indexes, from_index)


def _is_whole(row: Row) -> bool:
    try:
        sealed.check(layout.record(row.key), row.data)
    except sealed.DamageError:
        return False
    return True


def _read(folder: StoreFolder, file: Listed) -> Row | Problem | None:
    key = layout.parse_record(file.path)
    if key is None:
        return Problem(file.path, None, "is not the record of a stage")
    try:
        data = folder.read_line(file)
        records.decode(key, data)
    except FileNotFoundError:  # discarded since it was listed
        return None
    except sealed.DamageError as damage:
        return Problem(file.path, key, f"{damage}; the stage counts as not done")
    return Row(key, file.size, file.mtime_ns, data)
