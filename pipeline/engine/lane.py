"""A lane: one Ray Train run whose training function loops over stages that it leases from the board."""

import contextlib
import os
import socket
import threading
from typing import Any

import ray

from pipeline.engine.leases import Work
from pipeline.engine.outcomes import Outcome


class Heartbeat(threading.Thread):
    """Tells the board every `every` seconds that the lane lives and how far its stage is; learns that it must stop."""

    def __init__(self, board: Any, lane: str, session: int, stop: threading.Event, every: float) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._board, self._lane, self._session, self._stop_work = board, lane, session, stop
        self._every = every
        self._ended = threading.Event()
        self.progress: dict[str, Any] = {}
        self.board_lost = False

    def run(self) -> None:
        while not self._ended.wait(self._every):
            try:
                call = self._board.heartbeat.remote(self._lane, self._session, dict(self.progress))
                if not ray.get(call, timeout=30):
                    self._stop_work.set()
            except ray.exceptions.GetTimeoutError:
                continue
            except ray.exceptions.RayError:
                self.board_lost = True
                self._stop_work.set()
                return

    def end(self) -> None:
        self._ended.set()


def run_lane(config: dict[str, Any]) -> None:
    """Training function of the Ray Train run. Returns when the board says so, or cannot be reached any more.

    `config`: `board` (actor handle), `lane`, `shape`, `heartbeat` (seconds), and `make_work`, a function that makes the
    work of this process: it is given the event that says stop, and returns what runs one lease.
    """
    board, lane, shape = config["board"], config["lane"], config["shape"]
    stop = threading.Event()
    work: Work = config["make_work"](stop)
    who = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "node": ray.get_runtime_context().get_node_id(),
        "actor": ray.get_runtime_context().current_actor,
    }
    with contextlib.suppress(ray.exceptions.RayActorError):
        session = ray.get(board.hello.remote(lane, shape, who))
        heart = Heartbeat(board, lane, session, stop, config["heartbeat"])
        heart.start()
        try:
            _lease_and_work(board, lane, session, work, heart)
        finally:
            heart.end()


def _lease_and_work(board: Any, lane: str, session: int, work: Work, heart: Heartbeat) -> None:
    finished: tuple[tuple[str, int], Outcome] | None = None
    while not heart.board_lost:
        answer = ray.get(board.complete_and_lease.remote(lane, session, finished))
        if answer == "return":
            return
        finished = None
        if answer == "wait":
            continue
        heart.progress = {"iteration": 0}

        def progress(iteration: int, record: dict[str, Any] | None) -> None:
            heart.progress["iteration"] = iteration
            if record is not None:
                heart.progress["record"] = record

        outcome = work(answer, progress)
        finished = ((answer.stage.key, answer.attempt), outcome)
        if outcome.poisoned:
            ray.get(board.complete.remote(lane, session, *finished))
            raise RuntimeError(f"the worker is replaced after: {outcome.message}")
