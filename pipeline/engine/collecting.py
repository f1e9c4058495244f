"""Frees space in a store that others may be working on.

Whoever changes a store says so first, by a heartbeat, and looks then who else does: of two, one sees the other at
least. A driver that sees a collection waits until it has ended. A collection that sees a driver, or an import, leaves
its experiments alone, and removes nothing where it cannot know what they are.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.engine.addresses import shown
from pipeline.engine.experiments import every_version, is_published
from pipeline.engine.garbage import Removal, cheapest, listed, unneeded
from pipeline.engine.presence import Presence
from pipeline.engine.provenance import driver_id
from pipeline.engine.store import Store
from pipeline.engine.store.drivers import DriverStatus
from pipeline.experiment.errors import UserError

_GAP = 30.0
"""Seconds between two removals after which this process may have been stopped, and be dead to others."""
_POLL = 0.5
"""Seconds between two looks whether a collection has ended."""


@dataclass(frozen=True)
class Sweep:
    """What can go of a store as it was at one moment."""

    total: int
    """Bytes of the store before."""
    removals: tuple[Removal, ...]
    over: int
    """Bytes above the budget that are left all the same, since all else is protected."""
    protected: Mapping[str, str]
    """Experiments of which nothing goes that a plan may need -> why."""

    @property
    def size(self) -> int:
        """Bytes of all removals."""
        return sum(removal.size for removal in self.removals)


@contextmanager
def collecting(store: Store) -> Iterator[Mapping[str, DriverStatus]]:
    """As long as the block lasts, drivers that start wait. Gives those who are at work already, by name.

    Raises UserError where another collection is among them.
    """
    name = f"gc-{driver_id()}"
    with Presence(store, name, lambda: DriverStatus(experiment="tickets gc", collects=True)):
        others = {each: beat.status for each, beat in store.drivers.living().items() if each != name}
        if any(status.get("collects") for status in others.values()):
            raise UserError(f"Another `tickets gc` is at work on {shown(store.uri)}: wait until it has ended.")
        yield others


def await_collections(store: Store, say: Callable[[str], None], stop: threading.Event | None = None) -> None:
    """Wait, once this process has a heartbeat itself, until no collection is at work on `store`, or `stop` is set."""
    stop, said = stop or threading.Event(), False
    while any(beat.status.get("collects") for beat in store.drivers.living().values()) and not stop.is_set():
        if not said:
            say(f"Waiting for `tickets gc`, which is at work on {shown(store.uri)}")
        said = True
        stop.wait(_POLL)


def sweep(store: Store, others: Mapping[str, DriverStatus], budget: int | None, keep: Iterable[str]) -> Sweep:
    """What can go while `others` are at work.

    `budget`: bytes that the store may have; without it only what no experiment needs goes. `keep`: names of experiments
    that are protected from it, as are those that somebody works on, and published ones. Raises UserError where somebody
    is at work of whom nothing is known yet, where an experiment cannot be read, and for an unknown name in `keep`.
    """
    versions = dict(every_version(store))
    grids = {name: version.grid(store.uri) for name, version in versions.items()}
    names = {version.document: name for name, version in versions.items()}
    running: dict[str, str] = {}
    for driver, status in others.items():
        of = status.get("documents")
        if not of or not names.keys() >= set(of):
            raise UserError(
                f"{driver} works on {status.get('experiment', 'something')}, of which the store does not know yet what "
                "it needs: nothing is removed. Try again when it is further, or has ended."
            )
        running |= {names[document]: f"{driver} works on it" for document in of}
    protected = dict(running)
    bare = {name: name.partition("@")[0] for name in grids}
    for name in grids:
        if is_published(store, bare[name]):
            protected.setdefault(name, "published")
        if {name, bare[name]} & set(keep):
            protected.setdefault(name, "--keep")
    if unknown := sorted(set(keep) - {*bare, *bare.values()}):
        there = f"there are {', '.join(grids)}" if grids else "there is none"
        raise UserError(f"--keep {unknown[0]}: there is no such experiment in {shown(store.uri)}; {there}.")
    snapshot, files = store.snapshot(), listed(store)
    busy = {key for name in running for key in grids[name].stages}
    removals = list(unneeded(grids.values(), busy, snapshot, files))
    over = 0
    if budget is not None:
        over = files.total - sum(removal.size for removal in removals) - budget
        more, over = cheapest(over, {key for name in protected for key in grids[name].stages}, removals, snapshot)
        removals += more
    return Sweep(files.total, tuple(removals), over, protected)


def remove(store: Store, removals: Iterable[Removal]) -> None:
    """Remove them. Killed in between, the store is whole, and the rest goes another time.

    Raises UserError where this process was stopped in between: drivers may have begun since, and need what was to go.
    """
    last = time.time()
    for removal in removals:
        if time.time() - last > _GAP:
            raise UserError("`tickets gc` was stopped for a while, and others may have begun since: give it again.")
        last = time.time()
        if removal.outputs:
            store.collect(removal.key, removal.outputs)
        elif removal.paths:
            for path in removal.paths:
                store.folder.delete(path)
        else:
            store.remove(removal.key)
    store.compact()
