"""A lane: one Ray Train run whose training function loops over stages that it leases from the board."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

import ray

from pipeline.engine.lanes.lane_heartbeat import LaneHeartbeat
from pipeline.engine.lanes.leases import Answer, Attempt, Lease, MakeWork, Progress, RunLease, Worker
from pipeline.engine.lanes.outcomes import Outcome
from pipeline.engine.lanes.process_group import process_group
from pipeline.engine.lanes.remote_board import RemoteBoard
from pipeline.experiment.stages import Shape


@dataclass(frozen=True, slots=True)
class LaneConfig:
    """What each worker of a lane is given."""

    board: RemoteBoard
    lane: str
    shape: Shape
    heartbeat: float
    """Seconds between two."""
    make_work: MakeWork


Leased = tuple[int, Answer]
"""The session that rank 0 leases in, and what the board answered it."""

Share = Callable[[Leased], Leased]
"""Gives what rank 0 gave, on all ranks."""


def run_lane(config: LaneConfig) -> None:
    """Training function of the Ray Train run. Returns when the board says so, or cannot be reached any more.

    In a lane of several workers, rank 0 speaks with the board and shares its answers with the others. They wait no
    longer than the board takes to answer, so that idling never times out.
    """
    shape, stop = config.shape, threading.Event()
    if shape.workers == 1:
        _lead(config, stop, config.make_work(shape, stop), lambda leased: leased)
        return
    with process_group(shape.gpus_per_worker > 0) as group:

        def share(leased: Leased) -> Leased:
            return group.decided(lambda: leased)

        run = config.make_work(shape, stop, group)
        if group.leads:
            _lead(config, stop, run, share)
            share((0, "return"))
        else:
            _follow(config, run, share)


def _lead(config: LaneConfig, stop: threading.Event, run: RunLease, share: Share) -> None:
    context = ray.get_runtime_context()
    worker = Worker(os.getpid(), socket.gethostname(), context.get_node_id(), context.current_actor)
    with contextlib.suppress(ray.exceptions.RayActorError):
        session = config.board.hello(config.lane, config.shape, worker)
        heart = LaneHeartbeat(config.board, config.lane, session, stop, config.heartbeat)
        heart.start()
        try:
            _lease_and_run(config, session, run, heart, share)
        finally:
            heart.end()


def _lease_and_run(config: LaneConfig, session: int, run: RunLease, heart: LaneHeartbeat, share: Share) -> None:
    finished: tuple[Attempt, Outcome] | None = None
    while not heart.board_lost:
        answer = config.board.complete_and_lease(config.lane, session, finished)
        if answer == "return":
            return
        share((session, answer))
        finished = None
        if answer == "wait":
            continue
        heart.progress = Progress()
        outcome = run(answer, heart.report)
        _replace_if_unfit(config, session, answer, outcome)
        finished = (answer.id, outcome)


def _follow(config: LaneConfig, run: RunLease, share: Share) -> None:
    """Do rank 0's stages with it; what becomes of them it reports."""
    while True:
        session, answer = share((0, "wait"))
        if answer == "return":
            return
        if answer != "wait":
            _replace_if_unfit(config, session, answer, run(answer, lambda iteration, record: None))


def _replace_if_unfit(config: LaneConfig, session: int, lease: Lease, outcome: Outcome) -> None:
    """Report the outcome and raise, if this process or its group cannot go on: Ray Train replaces all of the group.

    A worker whose stage went wrong leaves its peers in the middle of a collective.
    """
    alone = config.shape.workers == 1
    in_step = lease.stage.kind == "prune"  # which rank 0 does alone
    if not outcome.poisoned and (alone or in_step or outcome.kind not in ("failed", "lost input", "lost store")):
        return
    with contextlib.suppress(ray.exceptions.RayActorError):
        config.board.complete(config.lane, session, lease.id, outcome)
    raise RuntimeError(f"the worker is replaced after: {outcome.message}")
