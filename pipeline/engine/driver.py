"""The driver: plan what is missing, run it on lanes, and again until nothing is missing that can be made."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pipeline.engine.addresses import Address, shown
from pipeline.engine.collector import Collector
from pipeline.engine.experiments import remember, remember_failures
from pipeline.engine.lane_folder import remove_abandoned
from pipeline.engine.leases import View
from pipeline.engine.presence import Presence
from pipeline.engine.provenance import driver_id, that_decides_bits
from pipeline.engine.ray_token import keep_token_private
from pipeline.engine.signals import Stop, StoppedError, stop_on_signals
from pipeline.engine.store import CorruptOutput, MissingOutput, Snapshot, Store
from pipeline.engine.waiting import waiting
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import Work
from pipeline.experiment.planning import Plan, plan
from pipeline.experiment.stages import Shape, Stage
from pipeline.lottery.counting import count_of

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
    fail_fast: bool = False
    without: Mapping[str, str] = field(default_factory=dict)
    """Stages that are left out, with all that descends from them, by key with the reason."""
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
    left_out: dict[str, str] = field(default_factory=dict)
    """Stages that were to run, and that the options leave out."""
    gave_up: bool = False
    """Inputs were lost again and again: stages are left that were not run."""
    damaged: int = 0
    """Files of the store that the report of this run could not use."""
    interrupted: int = 0
    """Signal that ended the run, or 0."""
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return 128 + self.interrupted
        return 1 if self.failed or self.left_out or self.gave_up or self.damaged else 0

    def after(self, earlier: "Summary | None") -> "Summary":
        """Of both: this run made again what the report of an earlier one found damaged."""
        if earlier is None:
            return self
        return replace(
            self,
            ran=self.ran + earlier.ran,
            cached=earlier.cached,
            diverged=self.diverged + earlier.diverged,
            seconds=self.seconds + earlier.seconds,
        )


def run(work: Work, options: RunOptions, listener: Listener) -> Summary:
    """Run everything of `work`, a grid or a collection of them, that its store lacks.

    Raises UserError for what the user can mend, RayLostError if Ray or the board is lost, StoreError if the store went
    away or refuses: in any case, finished stages are in the store.
    """
    return _Driver(work, options, listener).run()


class _Driver:
    """One run of one piece of work."""

    def __init__(self, work: Work, options: RunOptions, listener: Listener) -> None:
        self._asked, self._options, self._listener = work, options, listener
        with waiting(f"Waiting for the store {shown(options.store)}", listener.noted):
            self._store = Store(options.store)
        self._name = driver_id()
        self._summary = Summary()
        self._view: View | None = None
        self._lanes: Any = None
        self._hardware: set[str] = set()
        self._documents: dict[str, str] = {}
        """Where the store remembers the grids, by name, once their work has begun."""

    def run(self) -> Summary:
        started = time.monotonic()
        remove_abandoned()
        with contextlib.ExitStack() as stack:
            stop = stack.enter_context(stop_on_signals(self._listener.noted))
            presence = stack.enter_context(Presence(self._store, self._name, self._describe))
            for number in range(PASSES):
                with waiting("Reading what the store has", self._listener.noted):
                    snapshot = self._store.snapshot()
                if number == 0:
                    note, alone = self._listener.noted, presence.alone
                    snapshot.recheck(self._asked.stages, note=note, stop=stop.event, alone=alone)
                todo = self._plan(snapshot, first=number == 0)
                collector = Collector(self._asked, todo.to_run, snapshot, self._store, presence.alone)
                collector.sweep()
                if not todo.to_run:
                    self._remember()
                if not todo.to_run or not self._work(todo, collector, stop, stack):
                    break
            else:
                self._summary.gave_up = True
                where = shown(self._store.uri)
                self._listener.noted(
                    f"Inputs were lost {PASSES} times in a row: is something deleting files in {where}?"
                )
            collector.sweep()
            self._warn_of_mixed_hardware()
            self._summary.interrupted = stop.signal
            self._remember_failures()
            self._store.compact()
        self._summary.seconds = time.monotonic() - started
        return self._summary

    def _remember(self) -> None:
        """The names are these grids' from when a stage begins: a run that no cluster has room for takes none over."""
        for grid in self._asked.grids:
            if grid.name not in self._documents:
                self._documents[grid.name] = remember(self._store, grid)

    def _remember_failures(self) -> None:
        for grid in self._asked.grids:
            if grid.name not in self._documents:  # all of it is left out
                continue
            failed, skipped = (
                {key: why for key, why in told.items() if key in grid.stages}
                for told in (self._summary.failed, self._summary.skipped | self._summary.left_out)
            )
            remember_failures(self._store, self._documents[grid.name], failed, skipped, grid.stages)

    def _plan(self, snapshot: Snapshot, first: bool) -> Plan:
        for problem in snapshot.problems:
            self._listener.noted(f"{problem.path}: {problem.what}; it is made again")
        todo = plan(self._asked, snapshot)
        if first:
            self._summary.cached = len(todo.cached)
            for key in todo.cached:
                self._note_hardware(snapshot.record(key))
        self._summary.blocked = dict(todo.blocked)
        self._summary.left_out = {key: why for key, why in self._options.without.items() if key in todo.to_run}
        self._listener.planned(replace(todo, to_run=self._possible(todo)), snapshot)
        return todo

    def _possible(self, todo: Plan) -> dict[str, frozenset[str]]:
        """What is to run but for the stages that are left out. These still want their inputs kept."""
        return {key: outputs for key, outputs in todo.to_run.items() if key not in self._options.without}

    def _work(self, todo: Plan, collector: Collector, stop: Stop, stack: contextlib.ExitStack) -> bool:
        """Run what is to run. True if inputs were lost on the way: what is missing now has to be planned again."""
        wanted = self._possible(todo)
        stages = [self._asked.stages[key] for key in wanted]
        if not stages or stop.event.is_set():
            return False
        if self._options.local:
            _refuse_wide(stages)
        if self._lanes is None:
            address, note = self._options.address, self._listener.noted
            if not self._options.local:
                for mended in keep_token_private(make=address == "local"):
                    note(mended)
            with waiting("Starting Ray" if address == "local" else f"Connecting to Ray at {address}", note):
                lanes = _lanes(self._options, self._store.uri, self._name, note, stop.event)
                try:
                    self._lanes = stack.enter_context(lanes)
                except StoppedError:
                    return False
        if stop.event.is_set():
            return False
        lost: set[tuple[str, str | None]] = set()

        def follow(view: View) -> None:
            self._view = view
            if view.events:
                self._remember()
            lost.update(view.lost_inputs)
            for event in view.events:
                if event["event"] == "done":
                    self._summary.ran += event["ran"]
                    self._note_hardware(event["record"])
                    collector.done(event["stage"], event["record"])
            self._listener.followed(view)

        self._lanes.run(stages, wanted, self._asked.keep, stop.event, follow)
        assert self._view is not None
        tally = self._view.tally
        if tally.store_error is not None:
            raise tally.store_error
        self._summary.diverged += tally.diverged
        self._summary.failed, self._summary.skipped = tally.failed, tally.skipped
        for key, output in lost:
            discard_if_lost(self._store, key, output)
        return bool(lost) and not stop.event.is_set() and not (self._options.fail_fast and tally.failed)

    def _note_hardware(self, record: Mapping[str, Any] | None) -> None:
        hardware = that_decides_bits((record or {}).get("hardware", {}))
        if hardware:
            self._hardware.add(", ".join(f"{name} {value}" for name, value in sorted(hardware.items())))

    def _warn_of_mixed_hardware(self) -> None:
        if len(self._hardware) > 1:
            self._listener.noted(
                "The results come from different hardware, on which the same key need not give the same bits: "
                + "; ".join(sorted(self._hardware))
            )

    def _describe(self) -> dict[str, Any]:
        """What `tickets status` tells others of this run."""
        doc: dict[str, Any] = {
            "experiment": self._asked.name,
            "experiments": [grid.name for grid in self._asked.grids],
        }
        if self._view is not None:
            view, shapes = self._view, {lane.shape for lane in self._view.lanes}
            doc |= {"total": view.tally.total, "done": view.tally.done}
            doc["lanes"] = [
                {
                    "lane": lane.name,
                    "stage": lane.lease.stage.label,
                    "iteration": lane.progress.get("iteration", 0),
                    "iterations": lane.lease.stage.iterations,
                }
                for lane in view.lanes
                if lane.lease
            ]
            doc["waiting"] = [
                f"{count_of(ready, 'stage')} of {shape.workers} x "
                f"({shape.cpus_per_worker:g} CPU, {shape.gpus_per_worker:g} GPU)"
                for shape, (ready, _) in view.demand.items()
                if shape not in shapes
            ]
        return doc


def _refuse_wide(stages: Sequence[Stage]) -> None:
    wide = next((stage for stage in stages if stage.kind == "train" and stage.shape.workers > 1), None)
    if wide is not None:
        raise UserError(
            f"{wide.label} asks for {wide.shape.workers} workers, which are as many processes: leave out --local, or "
            "set `resources: {workers: 1}` (another result: each worker has batch norm statistics of its own)."
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


def _lanes(options: RunOptions, store: str, driver: str, note: Callable[[str], None], stop: threading.Event) -> Any:
    """The lanes that `options` ask for; Ray is imported only if they are Ray's."""
    make = partial(_make_work_for, Address(store), str(options.data_root), driver, options.checkpoint_seconds)
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
            note=note,
            stop=stop,
        )
    )


def _make_work_for(store: str, data_root: str, driver: str, checkpoint_seconds: float, shape: Shape) -> Any:
    device = "cuda:0" if shape.gpus_per_worker > 0 else "cpu"
    decoders = max(1, int(shape.cpus_per_worker) - 1)
    return partial(_make_work, store, data_root, driver, device, decoders, checkpoint_seconds)


def _make_work(*arguments: Any) -> Any:
    """Imports torch, so only where stages run."""
    from pipeline.engine.execute import make_work

    return make_work(*arguments)
