"""Lanes on a Ray cluster: follows the board, starts lanes where there is room, replaces what is lost."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from pipeline.engine.lanes.capacity import LaneState, check_feasible, decide, lane_limit, room_to_grow
from pipeline.engine.lanes.cluster_nodes import Room
from pipeline.engine.lanes.lane_runs import LaneRuns, kill
from pipeline.engine.lanes.lanes import LaneOptions
from pipeline.engine.lanes.leases import OutputNames
from pipeline.engine.lanes.ray_cluster import RayCluster
from pipeline.engine.lanes.ray_lost import BoardLostError, RayLostError, first_line
from pipeline.engine.lanes.remote_board import RemoteBoard
from pipeline.engine.lanes.view import View
from pipeline.experiment.stages import Stage

GRACE = 20.0
"""Seconds that lanes have to checkpoint when a run is stopped; what takes longer is dropped."""


class RayLanes:
    """`Lanes` of one run of the driver, around `ray.init`."""

    def __init__(self, options: LaneOptions) -> None:
        self._options = options
        self._cluster = RayCluster(options.address, options.say, options.stop)
        self._runs = LaneRuns(options.make_work, options.heartbeat)

    def __enter__(self) -> Self:
        self._cluster.join()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.leave_if_lost(error)
        self._runs.join(10.0)
        self._cluster.leave()

    def run(
        self,
        stages: Sequence[Stage],
        wanted: OutputNames,
        keep: OutputNames,
        stop: threading.Event,
        follow: Callable[[View], None],
        every: float = 0.2,
    ) -> None:
        """Run the stages, and call `follow` with the board's view each `every` seconds until it is over.

        Raises RayLostError (BoardLostError if Ray is there), UserError for stages that this cluster can never place.
        """
        import ray

        try:
            self._run(stages, wanted, keep, stop, follow, every)
        except ray.exceptions.RayTaskError:  # raised by the board's own code
            raise
        except ray.exceptions.RayError as error:
            raise BoardLostError(f"The board of this run is gone ({first_line(error)})") from error
        except Exception as error:  # lanes that cannot start, nodes that cannot be asked for: is there a Ray at all?
            if self._cluster.is_lost():
                raise RayLostError(f"The Ray cluster is gone ({first_line(error)})") from error
            raise

    def _run(
        self,
        stages: Sequence[Stage],
        wanted: OutputNames,
        keep: OutputNames,
        stop: threading.Event,
        follow: Callable[[View], None],
        every: float,
    ) -> None:
        room = Room()
        if not room.grows:
            check_feasible(list({stage.shape for stage in stages}), room.nodes)
        limit = self._options.lanes or lane_limit()
        board = RemoteBoard.start(stages, wanted, keep, self._options.lease_timeout, self._options.fail_fast)
        stopped_at: float | None = None
        try:
            while True:
                view = board.view()
                follow(view)
                self._runs.reap(board)
                for lane in view.expired:
                    kill(lane.worker)
                if stop.is_set() and stopped_at is None:
                    board.stop()
                    stopped_at = time.monotonic()
                if view.over:
                    break
                if stopped_at is None:
                    self._place(board, view, room, limit)
                elif time.monotonic() - stopped_at > GRACE:
                    break
                time.sleep(every)
            board.stop()
            self._runs.join(30.0)
            self._runs.reap(board)
        finally:
            with contextlib.suppress(Exception):
                board.kill()

    def _place(self, board: RemoteBoard, view: View, room: Room, limit: int) -> None:
        """Start lanes where there is room, and drain others where there should be."""
        known = {lane.name: lane for lane in view.lanes}
        states = []
        for name, shape in self._runs.shapes.items():
            lane = known.get(name)
            # A lane that has not said hello yet is as good as idle: a stage is on its way to it.
            states.append(LaneState(name, shape, bool(lane and lane.lease), bool(lane and lane.draining), not lane))
        cpus, gpus = room.totals()
        if room.grows:
            cpus, gpus = room_to_grow(cpus, gpus, states, view.demand)
        decision = decide(cpus, gpus, limit, states, view.demand)
        for shape in decision.start:
            self._runs.start(board, shape, self._cluster.folder)
        for name in decision.drain:
            board.drain(name)
