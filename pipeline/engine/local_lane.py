"""The `--local` run: one lane in the process itself, on the same board, without Ray."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.engine.board import Board
from pipeline.engine.leases import Lease, View, Work
from pipeline.experiment.stages import Shape, Stage

LANE = "local"


class LocalLane:
    """Runs stages of any shape one after another in the calling thread."""

    def __init__(self, make_work: Callable[[Shape], Callable[[threading.Event], Work]], fail_fast: bool) -> None:
        self._make_work = make_work
        self._fail_fast = fail_fast
        self._works: dict[Shape, Work] = {}

    def __enter__(self) -> "LocalLane":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(
        self,
        stages: Sequence[Stage],
        wanted: Mapping[str, frozenset[str]],
        keep: Mapping[str, frozenset[str]],
        stop: threading.Event,
        follow: Callable[[View], None],
    ) -> None:
        """Run the stages; `follow` is called after each and, within long ones, whenever they report progress."""
        board = Board(stages, wanted, keep, fail_fast=self._fail_fast)
        shapes = list({stage.shape for stage in stages})
        sessions = {shape: board.hello(f"{LANE}-{number}", shape) for number, shape in enumerate(shapes)}
        while not board.over:
            waiting = True
            for number, shape in enumerate(shapes):
                lane = f"{LANE}-{number}"
                if stop.is_set():
                    board.stop()
                answer = board.lease(lane, sessions[shape])
                if not isinstance(answer, Lease):
                    continue
                waiting = False
                follow(board.view())
                outcome = self._work_for(shape, stop)(answer, self._progress(board, lane, sessions[shape], follow))
                board.complete(lane, sessions[shape], (answer.stage.key, answer.attempt), outcome)
                follow(board.view())
            if board.stopping:
                break
            if waiting:  # only stages that another driver has claimed are left
                time.sleep(0.2)
                follow(board.view())
        follow(board.view())

    def _work_for(self, shape: Shape, stop: threading.Event) -> Work:
        if shape not in self._works:
            self._works[shape] = self._make_work(shape)(stop)
        return self._works[shape]

    @staticmethod
    def _progress(
        board: Board, lane: str, session: int, follow: Callable[[View], None]
    ) -> Callable[[int, dict[str, Any] | None], None]:
        state: dict[str, Any] = {"iteration": 0}
        shown = time.monotonic()

        def progress(iteration: int, record: dict[str, Any] | None) -> None:
            nonlocal shown
            state["iteration"] = iteration
            if record is not None:
                state["record"] = record
            board.heartbeat(lane, session, state)
            if time.monotonic() - shown > 0.5:
                shown = time.monotonic()
                follow(board.view())

        return progress
