"""The board: which stage is next, who has it, and what becomes of it when that lane is lost.

Plain Python without Ray: the `--local` run calls it directly, a Ray run wraps it in an actor (`board_actor`).
"""

import time
from collections.abc import Callable, Iterable
from graphlib import TopologicalSorter

from pipeline.engine.lanes.events import Done, Event, Failed, InputLost, Retried, Started
from pipeline.engine.lanes.leases import NOT_BEGUN, Answer, Attempt, Lease, OutputNames, Progress, Worker
from pipeline.engine.lanes.outcomes import Outcome, StageCounts
from pipeline.engine.lanes.ready_stages import ReadyStages
from pipeline.engine.lanes.stage_graph import StageGraph
from pipeline.engine.lanes.view import Demand, Lane, View
from pipeline.experiment.stages import Shape, Stage

RETRIES = {"lost worker": 3, "out of memory": 1, "exception": 1}
"""How often a stage is tried again, for each class of error."""


class Board:
    """Leases ready stages, longest remaining path first; every stage is completed at most once."""

    def __init__(
        self,
        stages: Iterable[Stage],
        wanted: OutputNames,
        keep: OutputNames | None = None,
        *,
        lease_timeout: float = 60.0,
        fail_fast: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._graph = StageGraph(stages)
        self._wanted = wanted
        self._keep = keep or {}
        self._lease_timeout = lease_timeout
        self._fail_fast = fail_fast
        self._clock = clock
        self._sorter = TopologicalSorter(self._graph.parents)
        self._sorter.prepare()
        self._ready = ReadyStages(self._graph, clock)
        self._attempts: dict[str, int] = dict.fromkeys(self._graph.stages, 0)
        self._errors: dict[tuple[str, str], int] = {}
        self._finished: set[str] = set()
        self._stopping = False
        self.lanes: dict[str, Lane] = {}
        self.counts = StageCounts(total=len(self._graph.stages))
        self.lost_inputs: set[tuple[str, str | None]] = set()
        self.events: list[Event] = []
        self._add_ready()

    # What lanes call

    def hello(self, lane: str, shape: Shape, worker: Worker | None = None) -> int:
        """A lane's worker (re)starts: what its predecessor had leased comes back. Returns the session to call with."""
        known = self.lanes.setdefault(lane, Lane(lane, shape))
        known.session += 1
        known.worker = worker
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
        if self._stopping or known.draining:
            return "return"
        key = self._ready.take(known.shape)
        if key is None:
            return "return" if self.over else "wait"
        self._attempts[key] += 1
        keep = self._keep.get(key, frozenset())
        known.lease = Lease(self._graph.stages[key], self._wanted[key], keep, lane, self._attempts[key])
        known.progress = NOT_BEGUN
        self.events.append(Started(key, lane, self._attempts[key]))
        return known.lease

    def complete(self, lane: str, session: int, attempt: Attempt, outcome: Outcome) -> bool:
        """Take the result of `attempt`. False if the lane no longer holds that lease."""
        known = self.lanes.get(lane)
        if known is None or known.session != session or known.lease is None or known.lease.id != attempt:
            return False
        key = known.lease.stage.key
        known.lease, known.progress = None, NOT_BEGUN
        known.seen = self._clock()
        match outcome.kind:
            case "done":
                self._done(key, outcome, lane)
            case "failed":
                self._retry_or_fail(key, outcome)
            case "lost input":
                assert outcome.lost is not None
                self.lost_inputs.add(outcome.lost)
                self.events.append(InputLost(key, outcome.message))
                self.counts.skipped[key] = "an input was lost"
                self._skip_descendants(key, "an input was lost")
            case "lost store":  # it would be lost to every other stage, too
                self.counts.store_error = outcome.store_error
                self._ready.add(key)
                self._stopping = True
            case "claimed":
                self._ready.put_off(key, 1.0)
            case "interrupted":
                self._ready.add(key)
        self._add_ready()
        return True

    def heartbeat(self, lane: str, session: int, progress: Progress) -> bool:
        """Keep the lane's lease alive. False: stop working (the run is ending, or the lease is another's by now)."""
        known = self.lanes.get(lane)
        if known is None or known.session != session:
            return False
        known.seen, known.progress = self._clock(), progress
        return not self._stopping

    # What the driver calls

    @property
    def over(self) -> bool:
        """Nothing is leased, and nothing is ready or put off, or will be leased any more."""
        leased = any(lane.lease for lane in self.lanes.values())
        return not leased and (self._stopping or not self._ready)

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
        self._ready.add_due()  # also when there is no lane left that could ask for it
        events, self.events = self.events, []
        return View(events, list(self.lanes.values()), expired, self.demand(), self.counts, self.lost_inputs, self.over)

    def drain(self, lane: str) -> None:
        """The lane returns at its next stage boundary."""
        if lane in self.lanes:
            self.lanes[lane].draining = True

    def demand(self) -> Demand:
        """What waits for lanes; nothing when the run is ending."""
        return {} if self._stopping else self._ready.demand()

    # Inside

    def _add_ready(self) -> None:
        for key in self._sorter.get_ready():
            if key not in self.counts.skipped:
                self._ready.add(key)

    def _done(self, key: str, outcome: Outcome, lane: str) -> None:
        assert outcome.record is not None
        self._finished.add(key)
        self.counts.done += 1
        self.events.append(Done(key, lane, outcome.record, outcome.ran))
        if outcome.record["status"] == "diverged":
            self.counts.diverged += 1
            self._skip_descendants(key, f"{self._graph.stages[key].label} diverged")
        self._sorter.done(key)

    def _retry_or_fail(self, key: str, outcome: Outcome) -> None:
        error_class = outcome.error_class or "exception"
        count = self._errors[key, error_class] = self._errors.get((key, error_class), 0) + 1
        if count <= RETRIES.get(error_class, 0) and not self._fail_fast:
            self.events.append(Retried(key, error_class, outcome.message))
            self._ready.add(key)
            return
        self.counts.failed[key] = f"{error_class}: {outcome.message}"
        self.events.append(Failed(key, outcome.message, outcome.trace))
        self._skip_descendants(key, f"{self._graph.stages[key].label} failed")
        if self._fail_fast:
            self._stopping = True

    def _skip_descendants(self, key: str, why: str) -> None:
        for below in self._graph.descendants(key, without=self._is_settled):
            self.counts.skipped[below] = why

    def _is_settled(self, key: str) -> bool:
        return key in self.counts.skipped or key in self._finished

    def _take_back(self, lane: Lane, why: str) -> None:
        if lane.lease is None:
            return
        key, lane.lease, lane.progress = lane.lease.stage.key, None, NOT_BEGUN
        self._retry_or_fail(key, Outcome("failed", error_class="lost worker", message=f"lane {lane.name}: {why}"))
