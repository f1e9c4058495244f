"""Adds a checked archive to a store: what is there stays, what is missing comes."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from pipeline.engine.archive.reading import Archive
from pipeline.engine.collecting import await_collections
from pipeline.engine.experiments import remember, versions
from pipeline.engine.presence import Presence
from pipeline.engine.provenance import driver_id
from pipeline.engine.store import Store
from pipeline.engine.store.drivers import DriverStatus
from pipeline.engine.store.local import LocalFolder
from pipeline.engine.store.records import Output, Record
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import Grid

_WRITERS = 8
"""Each holds one output in memory."""


@dataclass(frozen=True)
class Added:
    """What an import has changed."""

    stages: int
    """Records that came."""
    outputs: int
    """Outputs that came, theirs and those that records of the store lacked."""
    differing: tuple[str, ...]
    """Keys of stages that the store has with other results, as of another kind of hardware: its own stay."""


def add(archive: Archive, store: Store, say: Callable[[str], None] = lambda message: None) -> Added:
    """Make what is in `archive` finished stages of `store`, and its grid one that the store remembers.

    Outputs are written before the records that name them, and the grid last: whenever this ends, the store is whole,
    and the same import adds the rest. Raises UserError where there is no room for it.
    """
    at_work = DriverStatus(experiment=f"an import of {archive.grid.name}")
    with Presence(store, driver_id(), lambda: at_work):
        await_collections(store, say)
        return _add(archive, store)


def _add(archive: Archive, store: Store) -> Added:
    snapshot = store.snapshot()
    to_write: dict[str, tuple[Record | None, dict[str, Output]]] = {}
    differing = []
    for key, record in archive.records.items():
        older = snapshot.record(key)
        if older is not None and not _agree(older, record):
            differing.append(key)
            continue
        lacking = {name: out for name, out in record["outputs"].items() if "path" in out}
        if older is not None:
            lacking = {name: out for name, out in lacking.items() if not snapshot.available(key, name)}
        if older is None or lacking:
            to_write[key] = older, lacking
    _check_room(store, sum(out["size"] for _, lacking in to_write.values() for out in lacking.values()))

    def finish(key: str) -> None:
        older, lacking = to_write[key]
        for out in lacking.values():
            store.folder.write(out["path"], archive.read(out["path"]))
        record = archive.records[key]
        store.finish(record if older is None else {**older, "outputs": {**older["outputs"], **lacking}})

    with ThreadPoolExecutor(_WRITERS) as writers:
        for _ in writers.map(finish, to_write):
            pass
    _remember(store, archive.grid)
    store.compact()
    return Added(
        sum(older is None for older, _ in to_write.values()),
        sum(len(lacking) for _, lacking in to_write.values()),
        tuple(differing),
    )


def _remember(store: Store, grid: Grid) -> None:
    """As an experiment of the store; what an earlier version of it keeps is kept by this one, too."""
    results = {point.stage for point in grid.points}
    keep: dict[str, frozenset[str]] = dict(grid.keep)
    for version in versions(store, grid.name):
        if version.results is None or not (version.results <= results or version.results >= results):
            continue
        kept = version.grid(store.uri).keep
        if version.results >= results and all(kept.get(key, frozenset()) >= outputs for key, outputs in keep.items()):
            return
        for key in kept.keys() & grid.stages.keys():
            keep[key] = keep.get(key, frozenset()) | kept[key]
    remember(store, replace(grid, keep=keep))


def _agree(one: Record, other: Record) -> bool:
    """Whether two records of a stage have equal results, as far as both have them."""
    outputs = one["outputs"], other["outputs"]
    hashes = [{name: out["sha256"] for name, out in each.items() if "sha256" in out} for each in outputs]
    return (
        one["status"] == other["status"]
        and one["inputs"] == other["inputs"]
        and one["summary"] == other["summary"]
        and all(hashes[0][name] == hashes[1][name] for name in hashes[0].keys() & hashes[1].keys())
    )


def _check_room(store: Store, size: int) -> None:
    if isinstance(store.folder, LocalFolder):
        free = shutil.disk_usage(store.folder.root).free
        if size > free:
            raise UserError(
                f"{store} has room for {free:,} bytes, and the import needs {size:,}: nothing was imported."
            )
