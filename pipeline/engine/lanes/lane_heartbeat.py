"""A lane's sign of life, which the board answers with whether the lane is to go on."""

import threading

import ray

from pipeline.engine.lanes.leases import Metrics, Progress
from pipeline.engine.lanes.remote_board import RemoteBoard


class LaneHeartbeat(threading.Thread):
    """Tells the board every `every` seconds that the lane lives and how far its stage is; learns that it must stop."""

    def __init__(self, board: RemoteBoard, lane: str, session: int, stop: threading.Event, every: float) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._board, self._lane, self._session, self._stop_work = board, lane, session, stop
        self._every = every
        self._ended = threading.Event()
        self.progress = Progress()
        self.board_lost = False

    def report(self, iteration: int, record: Metrics | None) -> None:
        """How far the stage is; a record stays until the next one."""
        record = self.progress.record if record is None else record
        self.progress = Progress(iteration, record)

    def run(self) -> None:
        while not self._ended.wait(self._every):
            try:
                if not self._board.heartbeat(self._lane, self._session, self.progress):
                    self._stop_work.set()
            except ray.exceptions.GetTimeoutError:
                continue
            except ray.exceptions.RayError:
                self.board_lost = True
                self._stop_work.set()
                return

    def end(self) -> None:
        self._ended.set()
