"""Collects weights that nothing reads any more: a chain keeps its tickets, not the trained weights between them."""

from collections import defaultdict
from collections.abc import Callable, Mapping

from pipeline.engine.store import Snapshot, Store
from pipeline.engine.store.records import Output, Record
from pipeline.experiment.grid import Work


class Collector:
    """Only outputs marked transient are ever collected, and only while no other driver works on the store."""

    def __init__(
        self,
        work: Work,
        to_run: Mapping[str, frozenset[str]],
        snapshot: Snapshot,
        store: Store,
        alone: Callable[[], bool],
    ) -> None:
        self._work, self._store, self._alone = work, store, alone
        self._records: dict[str, Record] = {}
        for key in work.stages:
            record = snapshot.record(key)
            if record is not None:
                self._records[key] = record
        self._waiting = set(to_run)
        self._readers: dict[tuple[str, str], set[str]] = defaultdict(set)
        for key in to_run:
            for read in work.stages[key].inputs.values():
                self._readers[read.stage, read.output].add(key)

    def done(self, key: str, record: Record) -> None:
        """A stage is done: what it was the last to read can go."""
        self._records[key] = record
        self._waiting.discard(key)
        for read in self._work.stages[key].inputs.values():
            readers = self._readers.get((read.stage, read.output))
            if readers is not None:
                readers.discard(key)
                if not readers:
                    self._collect(read.stage, [read.output])

    def sweep(self) -> None:
        """Collect what earlier, interrupted runs left; keep for good what this experiment wants kept."""
        for key, record in self._records.items():
            keep = self._work.keep.get(key, frozenset())
            pinned = {name: out for name, out in record["outputs"].items() if out.get("transient") and name in keep}
            if pinned:
                for out in pinned.values():
                    del out["transient"]
                self._store.finish(record)
            self._collect(key, [name for name in record["outputs"] if not self._readers.get((key, name))])
        if self._alone():  # a driver that was killed between a stage's record and the end of its checkpoints left them
            for key in self._store.checkpoints.keys() & (self._records.keys() - self._waiting):
                self._store.checkpoints.drop(key)

    def _collect(self, key: str, names: list[str]) -> None:
        record = self._records.get(key)
        if record is None or not self._alone():
            return
        keep = self._work.keep.get(key, frozenset())
        gone = [
            name
            for name in names
            if name not in keep and record["outputs"][name].get("transient") and "path" in record["outputs"][name]
        ]
        if gone:
            try:
                self._store.collect(key, gone)
            except OSError:  # a store that is away for a moment: the next sweep tries again
                return
            for name in gone:
                record["outputs"][name] = Output(collected=True)
