"""The store: what is done of which stage, each operation a few lines over the module that knows the subject."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine.addresses import shown
from pipeline.engine.store import layout, payloads, records, store_uri, verification
from pipeline.engine.store import snapshot as snapshots
from pipeline.engine.store.checkpoints import Checkpoints
from pipeline.engine.store.claims import Claims
from pipeline.engine.store.documents import Documents
from pipeline.engine.store.drivers import Drivers
from pipeline.engine.store.filesystem import StoreFolder
from pipeline.engine.store.local import LocalFolder
from pipeline.engine.store.problems import CorruptOutput, MissingOutput, Problem
from pipeline.engine.store.remote import RemoteFolder
from pipeline.engine.store.sealed import DamageError
from pipeline.experiment.errors import UserError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_log = logging.getLogger(__name__)


class Store:
    """Finished stages by content key, in a local folder, `file://`, `s3://` or `gs://` (whatever pyarrow.fs opens).

    Any number of processes may use it at once, without a lock. Pickling keeps the address and opens it again.
    """

    def __init__(
        self, uri: str | Path, *, filesystem: FileSystem | None = None, stale_after: float = 60.0, create: bool = True
    ) -> None:
        """Open the store; `create` makes a local folder. UserError for an address that cannot be used.

        `filesystem`: a `pyarrow.fs.FileSystem` in which `uri` is a path, where a URI cannot say all (credentials).
        `stale_after`: seconds without a heartbeat after which a driver's claims are void.
        """
        self.uri = str(uri) if filesystem is not None else store_uri.absolute(uri)
        self._filesystem = filesystem
        self.folder: StoreFolder = (
            store_uri.open_folder(self.uri, create) if filesystem is None else RemoteFolder(filesystem, self.uri)
        )
        self.checkpoints = Checkpoints(self.folder)
        self.documents = Documents(self.folder)
        self.drivers = Drivers(self.folder, stale_after)
        self.claims = Claims(self.folder, self.drivers)

    def __reduce__(self) -> tuple[Callable[[str], Store], tuple[str]]:
        return partial(Store, filesystem=self._filesystem, stale_after=self.drivers.stale_after), (self.uri,)

    def __repr__(self) -> str:
        return f"Store({shown(self.uri)!r})"

    def existing(self) -> Store:
        """This store; UserError if its folder is not there: a mistyped address must not be taken for a whole store."""
        if isinstance(self.folder, LocalFolder) and not self.folder.root.is_dir():
            raise UserError(f"There is no store at {shown(self.uri)}: `tickets run` makes one. Check --store.")
        return self

    def snapshot(self) -> snapshots.Snapshot:
        """The state of all stages now. Files that are damaged are named in its `problems`."""
        return snapshots.take(self.folder)

    def compact(self, snapshot: snapshots.Snapshot | None = None, *, always: bool = False) -> bool:
        """Rewrite the index if that pays (or `always`), so that the next snapshot is fast; says whether it did.

        `snapshot`: one that was just taken; otherwise a new one is.
        """
        snapshot = self.snapshot() if snapshot is None else snapshot
        if not (always or snapshot.is_index_outdated):
            return False
        snapshot.compact()
        return True

    def record(self, key: str) -> records.Record | None:
        """The record as it is now; None where the stage is not done, or (named in the log) the record is damaged."""
        try:
            return records.load(self.folder, key)
        except DamageError as damage:
            _log.warning("The store's file %s %s; the stage counts as not done.", layout.record(key), damage)
            return None

    def finish(self, record: records.Record) -> records.Record:
        """Make the stage done, its payloads being written; returns the record with outputs of an older one joined in.

        Where a record says the same already it is kept, with when and where that was: two drivers made the stage.
        ValueError for a record that lacks a field. Of two processes that finish one stage at once, either's record
        may remain: it is whole, but may lack an output that only the other had. Planning finds that, and runs it.
        """
        data = records.encode(record)
        try:
            older = records.load(self.folder, record["key"])
        except DamageError:  # replaced by a whole one
            older = None
        if older is not None:
            record = records.merge(record, older, partial(payloads.exists, self.folder))
            record = older if records.say_the_same(record, older) else record
            data = records.encode(record)
        self.folder.write(layout.record(record["key"]), data)
        return record

    def has(self, record: records.Record, outputs: Iterable[str]) -> bool:
        """Whether the record names all these outputs, and their payloads are there with the right sizes."""
        named = record["outputs"]
        return all("path" in named.get(name, {}) and payloads.exists(self.folder, named[name]) for name in outputs)

    def put_output(self, key: str, name: str, data: bytes, suffix: str) -> records.Output:
        """Write one output; returns `{"path", "sha256", "size"}` for the record. Unseen until `finish`."""
        return payloads.put(self.folder, key, name, data, suffix)

    def read(self, key: str, output: str, known: records.Record | None = None) -> bytes:
        """One output, size and SHA-256 checked; raises MissingOutput or CorruptOutput.

        `known`: the stage's record, if the caller has it: it is not read once more.
        """
        return payloads.read(self.folder, key, output, known).data

    def read_hashed(self, key: str, output: str) -> payloads.Payload:
        """The same with its SHA-256, of one read: what is written anew meanwhile has another."""
        return payloads.read(self.folder, key, output)

    def collect(self, key: str, outputs: Iterable[str]) -> None:
        """Remove outputs to save space; the record keeps everything else and says so."""
        unwanted = set(outputs)
        record = self.record(key)
        if record is None or not (marked := unwanted & record["outputs"].keys()):
            return
        collected = {name: records.Output(collected=True) for name in marked}
        # The record first: killed in between, a payload is left that nobody needs, never a name without its payload.
        self.folder.write(layout.record(key), records.encode({**record, "outputs": record["outputs"] | collected}))
        payloads.delete(self.folder, key, marked)

    def remove(self, key: str) -> None:
        """Remove a stage whole: its record first, so that nothing is named that is not there."""
        self.folder.delete(layout.record(key))
        self.folder.delete_folder(layout.outputs(key))
        self.checkpoints.drop(key)

    def discard(self, key: str, output: str | None) -> None:
        """Remove a damaged output, or the record where `output` is None, so that the stage runs again."""
        if output is None:
            self.folder.delete(layout.record(key))
        else:
            payloads.delete(self.folder, key, [output])

    def discard_if_lost(self, key: str, output: str | None) -> None:
        """Another driver may have mended it since it was found lost, and its stages may be reading it by now."""
        if output is None:
            if self.record(key) is None:
                self.discard(key, None)
            return
        try:
            self.read(key, output)
        except (MissingOutput, CorruptOutput) as error:
            self.discard(error.key, error.output)

    def discard_problem(self, problem: Problem) -> None:
        """Remove what `verify` found damaged. A record whose payload is missing stays: planning sees that."""
        if problem.key is not None and problem.output is not None:
            self.discard(problem.key, problem.output)
        else:
            self.folder.delete(problem.path)

    def verify(self) -> Iterator[Problem]:
        """Read and check every file; yields what is damaged or missing, and (as information) what is unneeded."""
        return verification.verify(self.folder)

    def bytes_by_area(self) -> dict[str, int]:
        """Bytes of each of the store's folders."""
        return {area: sum(file.size for file in self.folder.files(area)) for area in layout.AREAS}
