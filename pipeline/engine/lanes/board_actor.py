"""The board as an actor in the driver's job. Never restarted: a lane that cannot reach it returns."""

import asyncio
from collections.abc import Iterable
from typing import TypeVar

from pipeline.engine.lanes.board import Board
from pipeline.engine.lanes.leases import Answer, Attempt, OutputNames, Progress, Worker
from pipeline.engine.lanes.outcomes import Outcome
from pipeline.engine.lanes.view import View
from pipeline.experiment.stages import Shape, Stage

T = TypeVar("T")

LONG_POLL = 5.0
"""Seconds that a lane's question is held open while no stage is ready for it."""


class BoardActor:
    """Async methods on one event loop: the board itself needs no locks."""

    def __init__(
        self,
        stages: Iterable[Stage],
        wanted: OutputNames,
        keep: OutputNames,
        lease_timeout: float,
        fail_fast: bool,
    ) -> None:
        self._board = Board(stages, wanted, keep, lease_timeout=lease_timeout, fail_fast=fail_fast)
        self._changed = asyncio.Event()

    async def hello(self, lane: str, shape: Shape, worker: Worker) -> int:
        return self._notify(self._board.hello(lane, shape, worker))

    async def goodbye(self, lane: str, reason: str) -> bool:
        return self._notify(self._board.goodbye(lane, reason))

    async def complete_and_lease(self, lane: str, session: int, finished: tuple[Attempt, Outcome] | None) -> Answer:
        """Report the last stage, if any, and get the next one: one call a stage."""
        if finished is not None:
            self._notify(self._board.complete(lane, session, *finished))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LONG_POLL
        while True:
            changed = self._changed
            answer = self._board.lease(lane, session)
            left = deadline - loop.time()
            if answer != "wait" or left <= 0:
                return answer
            try:  # at most a second: a stage that was put off becomes due without anybody calling
                await asyncio.wait_for(changed.wait(), min(left, 1.0))
            except TimeoutError:
                continue

    async def complete(self, lane: str, session: int, attempt: Attempt, outcome: Outcome) -> bool:
        return self._notify(self._board.complete(lane, session, attempt, outcome))

    async def heartbeat(self, lane: str, session: int, progress: Progress) -> bool:
        return self._board.heartbeat(lane, session, progress)

    async def stop(self) -> None:
        self._board.stop()
        self._notify(None)

    async def drain(self, lane: str) -> None:
        self._board.drain(lane)
        self._notify(None)

    async def view(self) -> View:
        """Everything the driver follows the run by, with the events since it was last asked for."""
        view = self._board.view()
        if view.expired:
            self._notify(None)
        return view

    def _notify(self, result: T) -> T:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        return result
