"""The board: which stage is next, who has it, and what becomes of it when that lane is lost.

Plain Python without Ray: the `--local` run calls it directly, a Ray run wraps it in an actor (`board_actor`).
"""

import heapq
import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Any

from pipeline.engine.leases import Answer, Lane, Lease, View
from pipeline.engine.outcomes import Outcome, Tally
from pipeline.experiment.stages import Shape, Stage

RETRIES = {"lost worker": 3, "out of memory": 1, "exception": 1}
"""How often a stage is tried again, for each class of error."""

OVERHEAD = 50
"""Iterations that a stage costs beside its own: keeps long chains of short stages ahead of single evaluations."""


class Board:
    """Leases ready stages, longest remaining path first; every stage is completed at most once."""

    def __init__(
        self,
        stages: Iterable[Stage],
        wanted: Mapping[str, frozenset[str]],
        keep: Mapping[str, frozenset[str]] | None = None,
        *,
        lease_timeout: float = 60.0,
        fail_fast: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stages = {stage.key: stage for stage in stages}
        self._wanted = wanted
        self._keep = keep or {}
        self._lease_timeout = lease_timeout
        self._fail_fast = fail_fast
        self._clock = clock
        self._parents = {
            key: {read.stage for read in stage.inputs.values()} & self._stages.keys()
            for key, stage in self._stages.items()
        }
        self._children: dict[str, list[str]] = {key: [] for key in self._stages}
        for key, parents in self._parents.items():
            for parent in parents:
                self._children[parent].append(key)
        self._remaining = self._longest_paths()
        self._sorter = TopologicalSorter(self._parents)
        self._sorter.prepare()
        self._ready: dict[Shape, list[tuple[int, int, str]]] = {}
        self._ready_since: dict[str, float] = {}
        self._deferred: dict[str, float] = {}
        self._order = itertools.count()
        self._attempts: dict[str, int] = dict.fromkeys(self._stages, 0)
        self._errors: dict[tuple[str, str], int] = {}
        self._finished: set[str] = set()
        self._stopping = False
        self.lanes: dict[str, Lane] = {}
        self.tally = Tally(total=len(self._stages))
        self.lost_inputs: set[tuple[str, str | None]] = set()
        self.events: list[dict[str, Any]] = []
        self._collect_ready()

    # What lanes call

    def hello(self, lane: str, shape: Shape, who: dict[str, Any] | None = None) -> int:
        """A lane's worker (re)starts: what its predecessor had leased comes back. Returns the session to call with."""
        known = self.lanes.setdefault(lane, Lane(lane, shape))
        known.session += 1
        known.who = who or {}
        known.seen = self._clock()
        self._take_back(known, "its worker was replaced")
        return known.session

    def goodbye(self, lane: str, reason: str = "its run ended") -> bool:
        """The lane is gone for good. False if it never said hello."""
        known = self.lanes.pop(lane, None)
        if known is not None:
            self._take_back(known, reason)
        return known is not None

    def lease(self, lane: str, session: int) -> Answer:
        """The next stage for this lane, or whether to wait or to return."""
        known = self.lanes.get(lane)
        if known is None or known.session != session:
            return "return"
        known.seen = self._clock()
        if known.lease is not None:
            self._take_back(known, "it asked for another stage")
        if self._stopping or known.draining or self.over:
            return "return"
        self._collect_due()
        heap = self._ready.get(known.shape)
        if not heap:
            return "wait"
        key = heapq.heappop(heap)[2]
        del self._ready_since[key]
        self._attempts[key] += 1
        keep = self._keep.get(key, frozenset())
        known.lease = Lease(self._stages[key], self._wanted[key], keep, lane, self._attempts[key])
        known.progress = {}
        self.events.append({"event": "started", "stage": key, "lane": lane, "attempt": self._attempts[key]})
        return known.lease

    def complete(self, lane: str, session: int, attempt: tuple[str, int], outcome: Outcome) -> bool:
        """Take the result of `attempt` (stage key, number). False if the lane no longer holds that lease."""
        known = self.lanes.get(lane)
        if known is None or known.session != session or known.lease is None:
            return False
        key = known.lease.stage.key
        if (key, known.lease.attempt) != attempt:
            return False
        known.lease, known.progress = None, {}
        known.seen = self._clock()
        match outcome.kind:
            case "done":
                self._done(key, outcome, lane)
            case "failed":
                self._retry_or_fail(key, outcome)
            case "lost input":
                assert outcome.lost is not None
                self.lost_inputs.add(outcome.lost)
                self.events.append({"event": "lost input", "stage": key, "message": outcome.message})
                self._skip_descendants(key, "an input was lost", including=True)
            case "lost store":  # it would be lost to every other stage, too
                self.tally.store_error = outcome.store_error
                self._make_ready(key)
                self._stopping = True
            case "claimed":
                self._deferred[key] = self._clock() + 1.0
            case "interrupted":
                self._make_ready(key)
        self._collect_ready()
        return True

    def heartbeat(self, lane: str, session: int, progress: dict[str, Any]) -> bool:
        """Keep the lane's lease alive. False: stop working (the run is ending, or the lease is another's by now)."""
        known = self.lanes.get(lane)
        if known is None or known.session != session:
            return False
        known.seen, known.progress = self._clock(), progress
        return not self._stopping

    # What the driver calls

    @property
    def over(self) -> bool:
        """Nothing is leased, and nothing is ready or deferred, or will be leased any more."""
        leased = any(lane.lease for lane in self.lanes.values())
        return not leased and (self._stopping or not (self._ready_since or self._deferred))

    @property
    def stopping(self) -> bool:
        return self._stopping

    def stop(self) -> None:
        """Lanes checkpoint what they have and return."""
        self._stopping = True

    def expired(self) -> list[Lane]:
        """Lanes whose lease had no heartbeat for `lease_timeout` seconds; their stages are ready again. Kill them."""
        now = self._clock()
        late = [lane for lane in self.lanes.values() if lane.lease and now - lane.seen > self._lease_timeout]
        for lane in late:
            self._take_back(lane, f"no heartbeat for {now - lane.seen:.0f} s")
            lane.session += 1
        return late

    def view(self) -> View:
        """Take the events since the last view; leases without a heartbeat are taken back on the way."""
        expired = self.expired()
        self._collect_due()  # also when there is no lane left that could ask for it
        events, self.events = self.events, []
        return View(events, list(self.lanes.values()), expired, self.demand(), self.tally, self.lost_inputs, self.over)

    def drain(self, lane: str) -> None:
        """The lane returns at its next stage boundary."""
        if lane in self.lanes:
            self.lanes[lane].draining = True

    def demand(self) -> dict[Shape, tuple[int, float]]:
        """For each shape: how many stages are ready, and how long the oldest has waited, in seconds."""
        if self._stopping:
            return {}
        now = self._clock()
        return {
            shape: (len(heap), max(now - self._ready_since[key] for _, _, key in heap))
            for shape, heap in self._ready.items()
            if heap
        }

    # Inside

    def _longest_paths(self) -> dict[str, int]:
        remaining: dict[str, int] = {}
        for key in reversed(list(TopologicalSorter(self._parents).static_order())):
            below = max((remaining[child] for child in self._children[key]), default=0)
            remaining[key] = self._stages[key].iterations + OVERHEAD + below
        return remaining

    def _make_ready(self, key: str) -> None:
        heap = self._ready.setdefault(self._stages[key].shape, [])
        heapq.heappush(heap, (-self._remaining[key], next(self._order), key))
        self._ready_since[key] = self._clock()

    def _collect_ready(self) -> None:
        for key in self._sorter.get_ready():
            if key not in self.tally.skipped:
                self._make_ready(key)

    def _collect_due(self) -> None:
        now = self._clock()
        for key in [key for key, due in self._deferred.items() if due <= now]:
            del self._deferred[key]
            self._make_ready(key)

    def _done(self, key: str, outcome: Outcome, lane: str) -> None:
        self._finished.add(key)
        self.tally.done += 1
        record = outcome.record or {}
        diverged = record.get("status") == "diverged"
        self.events.append({"event": "done", "stage": key, "lane": lane, "record": record, "ran": outcome.ran})
        if diverged:
            self.tally.diverged += 1
            self._skip_descendants(key, f"{self._stages[key].label} diverged")
        self._sorter.done(key)

    def _retry_or_fail(self, key: str, outcome: Outcome) -> None:
        kind = outcome.error_class or "exception"
        count = self._errors[key, kind] = self._errors.get((key, kind), 0) + 1
        if count <= RETRIES.get(kind, 0) and not self._fail_fast:
            self.events.append({"event": "retried", "stage": key, "class": kind, "message": outcome.message})
            self._make_ready(key)
            return
        self.tally.failed[key] = f"{kind}: {outcome.message}"
        self.events.append({"event": "failed", "stage": key, "message": outcome.message, "trace": outcome.trace})
        self._skip_descendants(key, f"{self._stages[key].label} failed")
        if self._fail_fast:
            self._stopping = True

    def _skip_descendants(self, key: str, why: str, including: bool = False) -> None:
        stack = [key] if including else list(self._children[key])
        while stack:
            below = stack.pop()
            if below in self.tally.skipped or below in self._finished:
                continue
            self.tally.skipped[below] = why
            stack.extend(self._children[below])

    def _take_back(self, lane: Lane, why: str) -> None:
        if lane.lease is None:
            return
        key, lane.lease, lane.progress = lane.lease.stage.key, None, {}
        self._retry_or_fail(key, Outcome("failed", error_class="lost worker", message=f"lane {lane.name}: {why}"))
