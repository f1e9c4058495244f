"""The driver: plan what is missing, run it on lanes, and again until nothing is missing that can be made."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pipeline.engine.board import View
from pipeline.engine.collector import Collector
from pipeline.engine.outcomes import Tally
from pipeline.engine.presence import Presence
from pipeline.engine.provenance import driver_id
from pipeline.engine.store import CorruptOutput, MissingOutput, Snapshot, Store
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import Grid
from pipeline.experiment.planning import Plan, plan
from pipeline.experiment.stages import Shape

PASSES = 20
"""Plans in a row that may find inputs lost before the run gives up: each one repairs what the last one found."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a grid is run; nothing of this changes a result."""

    store: str
    data_root: Path
    local: bool = False
    lanes: int | None = None
    address: str = "local"
    cpus: int | None = None
    fail_fast: bool = False
    checkpoint_seconds: float = 600.0
    lease_timeout: float = 60.0


class Listener(Protocol):
    """Whoever wants to know how a run goes: the display, the tracking."""

    def planned(self, todo: Plan, snapshot: Snapshot) -> None: ...
    def followed(self, view: View) -> None: ...
    def noted(self, message: str) -> None: ...


@dataclass(slots=True)
class Summary:
    """How a run ended."""

    ran: int = 0
    cached: int = 0
    diverged: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    interrupted: int = 0
    """Signal that ended the run, or 0."""
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return 128 + self.interrupted
        return 1 if self.failed else 0


def run(grid: Grid, options: RunOptions, listener: Listener) -> Summary:
    """Run everything of `grid` that its store lacks.

    Raises UserError for what the user can mend, BoardLostError if the board died: either way, finished stages are in
    the store.
    """
    _check_workers(grid)
    store, driver, started = Store(options.store), driver_id(), time.monotonic()
    summary, stop = Summary(), threading.Event()
    tally = Tally()
    with contextlib.ExitStack() as stack:
        signals = stack.enter_context(_signals(stop, listener))
        presence = stack.enter_context(
            Presence(store, driver, lambda: {"experiment": grid.name, "total": tally.total, "done": tally.done})
        )
        lanes = None
        for number in range(PASSES):
            snapshot = store.snapshot()
            for problem in snapshot.problems:
                listener.noted(f"{problem.path}: {problem.what}; it is made again")
            todo = plan(grid, snapshot)
            if number == 0:
                summary.cached = len(todo.cached)
            listener.planned(todo, snapshot)
            summary.blocked = dict(todo.blocked)
            collector = Collector(grid, todo.to_run, snapshot, store, presence.alone)
            collector.sweep()
            if not todo.to_run:
                break
            if lanes is None:
                lanes = stack.enter_context(_lanes(options, store.uri, driver))
            lost: set[tuple[str, str | None]] = set()

            def follow(view: View, collector: Collector = collector, lost: set[tuple[str, str | None]] = lost) -> None:
                nonlocal tally
                tally = view.tally
                lost |= view.lost_inputs
                _take(view, collector, summary, listener)

            lanes.run([grid.stages[key] for key in todo.to_run], todo.to_run, grid.keep, stop, follow)
            summary.diverged += tally.diverged
            summary.failed, summary.skipped = tally.failed, tally.skipped
            for key, output in lost:
                discard_if_lost(store, key, output)
            if not lost or stop.is_set() or (options.fail_fast and tally.failed):
                break
        else:
            listener.noted(f"Inputs were lost {PASSES} times in a row: is something deleting files in {options.store}?")
        collector.sweep()
        summary.interrupted = signals.received if stop.is_set() else 0
        store.compact()
    summary.seconds = time.monotonic() - started
    return summary


def _check_workers(grid: Grid) -> None:
    wide = next((stage for stage in grid.stages.values() if stage.shape.workers > 1), None)
    if wide is not None:
        raise UserError(
            f"{grid.name}: {wide.label} asks for {wide.shape.workers} workers, and training one stage on several "
            "is not built yet: set `resources: {workers: 1}`."
        )


def discard_if_lost(store: Store, key: str, output: str | None) -> None:
    """Another driver may have mended it since a lane found it lost, and its stages may be reading it by now."""
    if output is None:
        if store.record(key) is None:
            store.discard(key, None)
        return
    try:
        store.read(key, output)
    except (MissingOutput, CorruptOutput) as error:
        store.discard(error.key, error.output)


def _take(view: View, collector: Collector, summary: Summary, listener: Listener) -> None:
    for event in view.events:
        if event["event"] == "done":
            summary.ran += event["ran"]
            collector.done(event["stage"], event["record"])
    listener.followed(view)


def _lanes(options: RunOptions, store: str, driver: str) -> Any:
    """The lanes that `options` ask for; Ray is imported only if they are Ray's."""
    make = partial(_make_work_for, store, str(options.data_root), driver, options.checkpoint_seconds)
    if options.local:
        from pipeline.engine.local_lane import LocalLane

        return LocalLane(make, options.fail_fast)
    from pipeline.engine.ray_lanes import LaneOptions, RayLanes

    return RayLanes(
        LaneOptions(
            make,
            lanes=options.lanes,
            lease_timeout=options.lease_timeout,
            fail_fast=options.fail_fast,
            address=options.address,
            cpus=options.cpus,
        )
    )


def _make_work_for(store: str, data_root: str, driver: str, checkpoint_seconds: float, shape: Shape) -> Any:
    device = "cuda:0" if shape.gpus_per_worker > 0 else "cpu"
    return partial(_make_work, store, data_root, driver, device, checkpoint_seconds)


def _make_work(*arguments: Any) -> Any:
    """Imports torch, so only where stages run."""
    from pipeline.engine.execute import make_work

    return make_work(*arguments)


@dataclass(slots=True)
class _Signals:
    received: int = 0


@contextlib.contextmanager
def _signals(stop: threading.Event, listener: Listener) -> Iterator[_Signals]:
    """SIGINT and SIGTERM stop the run cleanly; a second one ends it at once."""
    state = _Signals()

    def handle(number: int, _: Any) -> None:
        if state.received:
            raise KeyboardInterrupt
        state.received = number
        stop.set()
        listener.noted("Stopping: stages in flight are checkpointed. Once more to end at once.")

    if threading.current_thread() is not threading.main_thread():
        yield state
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
