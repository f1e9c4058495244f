"""A lane: one Ray Train run whose training function loops over stages that it leases from the board."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

import ray

from pipeline.engine.leases import Answer, Lease, Work
from pipeline.engine.outcomes import Outcome
from pipeline.engine.process_group import process_group

Said = tuple[int, Answer]
"""The session that rank 0 leases in, and what the board answered it."""

Share = Callable[[Said], Said]
"""Gives what rank 0 gave, on all ranks."""


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
    work of this process: it is given the event that says stop (and, in a lane of several workers, their Group), and
    returns what runs one lease.

    In a lane of several workers, rank 0 speaks with the board and tells the others what it was told. They wait no
    longer than the board takes to answer, so that idling never times out.
    """
    shape, stop = config["shape"], threading.Event()
    if shape.workers == 1:
        _lead(config, stop, config["make_work"](stop), lambda said: said)
        return
    with process_group(shape.gpus_per_worker > 0) as group:

        def share(said: Said) -> Said:
            return group.decided(lambda: said)

        work: Work = config["make_work"](stop, group)
        if group.leads:
            _lead(config, stop, work, share)
            share((0, "return"))
        else:
            _follow(config, work, share)


def _lead(config: dict[str, Any], stop: threading.Event, work: Work, share: Share) -> None:
    board, lane, shape = config["board"], config["lane"], config["shape"]
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
            _lease_and_work(config, session, work, heart, share)
        finally:
            heart.end()


def _lease_and_work(config: dict[str, Any], session: int, work: Work, heart: Heartbeat, share: Share) -> None:
    board, lane = config["board"], config["lane"]
    finished: tuple[tuple[str, int], Outcome] | None = None
    while not heart.board_lost:
        answer = ray.get(board.complete_and_lease.remote(lane, session, finished))
        if answer == "return":
            return
        share((session, answer))
        finished = None
        if answer == "wait":
            continue
        heart.progress = {"iteration": 0}

        def progress(iteration: int, record: dict[str, Any] | None) -> None:
            heart.progress["iteration"] = iteration
            if record is not None:
                heart.progress["record"] = record

        outcome = work(answer, progress)
        _replace_if_unfit(config, session, answer, outcome)
        finished = ((answer.stage.key, answer.attempt), outcome)


def _follow(config: dict[str, Any], work: Work, share: Share) -> None:
    """Do rank 0's stages with it; what becomes of them it reports."""
    while True:
        session, answer = share((0, "wait"))
        if answer == "return":
            return
        if answer != "wait":
            _replace_if_unfit(config, session, answer, work(answer, lambda iteration, record: None))


def _replace_if_unfit(config: dict[str, Any], session: int, lease: Lease, outcome: Outcome) -> None:
    """Report the outcome and raise, if this process or its group cannot go on: Ray Train replaces all of the group.

    A worker whose stage went wrong leaves its peers in the middle of a collective.
    """
    alone = config["shape"].workers == 1
    in_step = lease.stage.kind == "prune"  # which rank 0 does alone
    if not outcome.poisoned and (alone or in_step or outcome.kind not in ("failed", "lost input", "lost store")):
        return
    with contextlib.suppress(ray.exceptions.RayActorError):
        board, lane = config["board"], config["lane"]
        ray.get(board.complete.remote(lane, session, (lease.stage.key, lease.attempt), outcome))
    raise RuntimeError(f"the worker is replaced after: {outcome.message}")
