"""The driver: plan what is missing, run it on lanes, and again until nothing is missing that can be made."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from pipeline.engine.addresses import Address, shown
from pipeline.engine.collecting import await_collections
from pipeline.engine.collector import Collector
from pipeline.engine.driver_status import status_of
from pipeline.engine.experiments import remember
from pipeline.engine.failures import remember_failures
from pipeline.engine.lanes.events import Done
from pipeline.engine.lanes.lane_folder import remove_abandoned
from pipeline.engine.lanes.lanes import LaneOptions, Lanes, lanes_of, refuse_wide
from pipeline.engine.lanes.ray_token import keep_token_private
from pipeline.engine.lanes.view import View
from pipeline.engine.lanes.workplace import Workplace
from pipeline.engine.mixed_hardware import HardwareSeen
from pipeline.engine.presence import Presence
from pipeline.engine.provenance import driver_id
from pipeline.engine.signals import Stop, StoppedError, stop_on_signals
from pipeline.engine.store import Snapshot, Store
from pipeline.engine.store.drivers import DriverStatus
from pipeline.engine.summary import RunSummary
from pipeline.engine.waiting import waiting
from pipeline.experiment.grid import Work
from pipeline.experiment.planning import Plan, plan

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
    def said(self, message: str) -> None: ...


def run(work: Work, options: RunOptions, listener: Listener) -> RunSummary:
    """Run everything of `work`, a grid or a collection of them, that its store lacks.

    Raises UserError for what the user can mend, RayLostError if Ray or the board is lost, StoreError if the store went
    away or refuses: in any case, finished stages are in the store.
    """
    return _Driver(work, options, listener).run()


class _Driver:
    """One run of one piece of work."""

    def __init__(self, work: Work, options: RunOptions, listener: Listener) -> None:
        self._work, self._options, self._listener = work, options, listener
        with waiting(f"Waiting for the store {shown(options.store)}", listener.said):
            self._store = Store(options.store)
        self._name = driver_id()
        self._summary = RunSummary()
        self._view: View | None = None
        self._lanes: Lanes | None = None
        self._hardware = HardwareSeen()
        self._documents: dict[str, str] = {}
        """Where the store remembers the grids, by name, once their work has begun."""

    def run(self) -> RunSummary:
        started = time.monotonic()
        remove_abandoned()
        with contextlib.ExitStack() as stack:
            stop = stack.enter_context(stop_on_signals(self._listener.said))
            presence = stack.enter_context(Presence(self._store, self._name, self._status))
            await_collections(self._store, self._listener.said, stop.event)
            if stop.event.is_set():
                self._summary.interrupted = stop.signal
                return self._summary
            for number in range(PASSES):
                with waiting("Reading what the store has", self._listener.said):
                    snapshot = self._store.snapshot()
                if number == 0:
                    say, alone = self._listener.said, presence.alone
                    snapshot.recheck(self._work.stages, say=say, stop=stop.event, alone=alone)
                todo = self._plan(snapshot, first=number == 0)
                collector = Collector(self._work, todo.to_run, snapshot, self._store, presence.alone)
                collector.sweep()
                if not todo.to_run:
                    self._remember()
                if not todo.to_run or not self._run_missing(todo, collector, stop, stack):
                    break
            else:
                self._summary.gave_up = True
                where = shown(self._store.uri)
                self._listener.said(
                    f"Inputs were lost {PASSES} times in a row: is something deleting files in {where}?"
                )
            collector.sweep()
            if (warning := self._hardware.warning()) is not None:
                self._listener.said(warning)
            self._summary.interrupted = stop.signal
            self._remember_failures()
            self._store.compact()
        self._summary.seconds = time.monotonic() - started
        return self._summary

    def _status(self) -> DriverStatus:
        return status_of(self._work, self._view, self._documents.values())

    def _remember(self) -> None:
        """The names are these grids' from when a stage begins: a run that no cluster has room for takes none over."""
        for grid in self._work.grids:
            if grid.name not in self._documents:
                self._documents[grid.name] = remember(self._store, grid)

    def _remember_failures(self) -> None:
        for grid in self._work.grids:
            if grid.name not in self._documents:  # all of it is left out
                continue
            failed, skipped = (
                {key: why for key, why in without_result.items() if key in grid.stages}
                for without_result in (self._summary.failed, self._summary.skipped | self._summary.left_out)
            )
            remember_failures(self._store, self._documents[grid.name], failed, skipped, grid.stages)

    def _plan(self, snapshot: Snapshot, first: bool) -> Plan:
        for problem in snapshot.problems:
            self._listener.said(f"{problem.path}: {problem.what}; it is made again")
        todo = plan(self._work, snapshot)
        if first:
            self._summary.cached = len(todo.cached)
            for key in todo.cached:
                self._hardware.add(snapshot.record(key))
        self._summary.blocked = dict(todo.blocked)
        self._summary.left_out = {key: why for key, why in self._options.without.items() if key in todo.to_run}
        self._listener.planned(replace(todo, to_run=self._possible(todo)), snapshot)
        return todo

    def _possible(self, todo: Plan) -> dict[str, frozenset[str]]:
        """What is to run but for the stages that are left out. These still want their inputs kept."""
        return {key: outputs for key, outputs in todo.to_run.items() if key not in self._options.without}

    def _run_missing(self, todo: Plan, collector: Collector, stop: Stop, stack: contextlib.ExitStack) -> bool:
        """Run what is to run. True if inputs were lost on the way: what is missing now has to be planned again."""
        wanted = self._possible(todo)
        stages = [self._work.stages[key] for key in wanted]
        if not stages or stop.event.is_set():
            return False
        if self._options.local:
            refuse_wide(stages)
        if self._lanes is None:
            address, say = self._options.address, self._listener.said
            if not self._options.local:
                for mended in keep_token_private(make=address == "local"):
                    say(mended)
            with waiting("Starting Ray" if address == "local" else f"Connecting to Ray at {address}", say):
                lanes = _lanes(self._options, self._store.uri, self._name, say, stop.event)
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
                if isinstance(event, Done):
                    self._summary.ran += event.ran
                    self._hardware.add(event.record)
                    collector.done(event.stage, event.record)
            self._listener.followed(view)

        self._lanes.run(stages, wanted, self._work.keep, stop.event, follow)
        assert self._view is not None
        counts = self._view.counts
        if counts.store_error is not None:
            raise counts.store_error
        self._summary.diverged += counts.diverged
        self._summary.failed, self._summary.skipped = counts.failed, counts.skipped
        for key, output in lost:
            self._store.discard_if_lost(key, output)
        return bool(lost) and not stop.event.is_set() and not (self._options.fail_fast and counts.failed)


def _lanes(options: RunOptions, store: str, driver: str, say: Callable[[str], None], stop: threading.Event) -> Lanes:
    """The lanes that `options` ask for."""
    workplace = Workplace(Address(store), str(options.data_root), driver, options.checkpoint_seconds)
    lane_options = LaneOptions(
        workplace,
        lanes=options.lanes,
        lease_timeout=options.lease_timeout,
        fail_fast=options.fail_fast,
        address=options.address,
        say=say,
        stop=stop,
    )
    return lanes_of(lane_options, local=options.local)
