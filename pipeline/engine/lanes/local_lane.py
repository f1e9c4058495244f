"""The `--local` run: one lane in the process itself, on the same board, without Ray."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Self

from pipeline.engine.lanes.board import Board
from pipeline.engine.lanes.leases import Lease, MakeWork, Metrics, OutputNames, Progress, ReportProgress, RunLease
from pipeline.engine.lanes.view import View
from pipeline.experiment.stages import Shape, Stage

LANE = "local"
SHOWN_EVERY = 0.5
"""Seconds between two views within a stage."""


class LocalLane:
    """`Lanes` that run stages of any shape one after another in the calling thread."""

    def __init__(self, make_work: MakeWork, fail_fast: bool) -> None:
        self._make_work = make_work
        self._fail_fast = fail_fast
        self._runs: dict[Shape, RunLease] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(
        self,
        stages: Sequence[Stage],
        wanted: OutputNames,
        keep: OutputNames,
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
                outcome = self._run_for(shape, stop)(answer, _reporter(board, lane, sessions[shape], follow))
                board.complete(lane, sessions[shape], answer.id, outcome)
                follow(board.view())
            if board.stopping:
                break
            if waiting:  # only stages that another driver has claimed are left
                time.sleep(0.2)
                follow(board.view())
        follow(board.view())

    def _run_for(self, shape: Shape, stop: threading.Event) -> RunLease:
        if shape not in self._runs:
            self._runs[shape] = self._make_work(shape, stop)
        return self._runs[shape]


def _reporter(board: Board, lane: str, session: int, follow: Callable[[View], None]) -> ReportProgress:
    """What takes the progress of one stage."""
    progress = Progress()
    shown = time.monotonic()

    def report(iteration: int, record: Metrics | None) -> None:
        nonlocal progress, shown
        progress = Progress(iteration, progress.record if record is None else record)
        board.heartbeat(lane, session, progress)
        if time.monotonic() - shown > SHOWN_EVERY:
            shown = time.monotonic()
            follow(board.view())

    return report
