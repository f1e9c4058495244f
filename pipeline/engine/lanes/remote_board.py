"""The board's actor as the driver and the lanes call it: each method waits for the answer.

Whatever Ray raises when the actor or its node is gone comes out as it is.
"""

from collections.abc import Sequence
from typing import Any, Self

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.engine.lanes.board_actor import BoardActor
from pipeline.engine.lanes.leases import Answer, Attempt, OutputNames, Progress, Worker
from pipeline.engine.lanes.outcomes import Outcome
from pipeline.engine.lanes.view import View
from pipeline.experiment.stages import Shape, Stage


class RemoteBoard:
    """Travels to the lanes as what it is: the actor's address."""

    def __init__(self, actor: object) -> None:
        """`actor`: Ray's handle of a `BoardActor`."""
        self._actor: Any = actor

    @classmethod
    def start(
        cls,
        stages: Sequence[Stage],
        wanted: OutputNames,
        keep: OutputNames,
        lease_timeout: float,
        fail_fast: bool,
    ) -> Self:
        """Beside the driver: on another node it would end the run when that one goes away."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = ray.remote(num_cpus=0, max_restarts=0, max_concurrency=1000, scheduling_strategy=here)(BoardActor)
        return cls(actor.remote(list(stages), dict(wanted), dict(keep), lease_timeout, fail_fast))

    # What lanes call

    def hello(self, lane: str, shape: Shape, worker: Worker) -> int:
        session: int = ray.get(self._actor.hello.remote(lane, shape, worker))
        return session

    def complete_and_lease(self, lane: str, session: int, finished: tuple[Attempt, Outcome] | None) -> Answer:
        answer: Answer = ray.get(self._actor.complete_and_lease.remote(lane, session, finished))
        return answer

    def complete(self, lane: str, session: int, attempt: Attempt, outcome: Outcome) -> None:
        ray.get(self._actor.complete.remote(lane, session, attempt, outcome))

    def heartbeat(self, lane: str, session: int, progress: Progress) -> bool:
        """Raises GetTimeoutError after 30 seconds."""
        goes_on: bool = ray.get(self._actor.heartbeat.remote(lane, session, progress), timeout=30)
        return goes_on

    # What the driver calls

    def view(self) -> View:
        """Raises GetTimeoutError after a minute."""
        view: View = ray.get(self._actor.view.remote(), timeout=60)
        return view

    def goodbye(self, lane: str, reason: str) -> bool:
        had_started: bool = ray.get(self._actor.goodbye.remote(lane, reason))
        return had_started

    def drain(self, lane: str) -> None:
        ray.get(self._actor.drain.remote(lane))

    def stop(self) -> None:
        ray.get(self._actor.stop.remote())

    def kill(self) -> None:
        ray.kill(self._actor)
