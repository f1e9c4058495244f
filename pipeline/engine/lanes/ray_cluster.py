"""The Ray that a run uses: started or joined, watched, and left again."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from pipeline.engine.lanes.lane_folder import LaneFolder
from pipeline.engine.lanes.ray_lost import RayLostError, first_line
from pipeline.engine.lanes.ray_start import keep_ray_quiet, start_ray
from pipeline.engine.lanes.ray_watch import Watch
from pipeline.experiment.errors import UserError


class RayCluster:
    """Joined by `join`, which may raise, and left by `leave`."""

    def __init__(self, address: str, say: Callable[[str], None], stop: threading.Event) -> None:
        """`address`: of a cluster, or "local"; `stop`: set when the run is to stop."""
        self._address, self._say, self._stop = address, say, stop
        self._folder: LaneFolder | None = None
        self._watch: Watch | None = None
        self._is_ours = False

    @property
    def folder(self) -> Path | None:
        """For what lanes put on the disk meanwhile."""
        return self._folder.path if self._folder else None

    def join(self) -> None:
        """Start a Ray, or connect to one, and watch it."""
        keep_ray_quiet()
        self._folder = LaneFolder()
        try:
            self._start(self._folder)
            try:
                self._watch = Watch(self._folder.remove)
            except Exception as error:  # it asks Ray for its nodes
                raise RayLostError(f"Ray was lost while it started ({first_line(error)})") from error
            self._watch.start()
        except BaseException:
            self._folder.remove()
            raise

    def _start(self, folder: LaneFolder) -> None:
        import ray

        if ray.is_initialized():
            return
        with folder.holding_temporary_files():
            dashboard = start_ray(self._address, self._say, self._stop)
        self._is_ours = True
        if self._address != "local" and dashboard:
            _refuse_if_open(f"http://{dashboard}")

    def is_lost(self) -> bool:
        return self._watch is not None and self._watch.lost()

    def leave_if_lost(self, error: BaseException | None) -> None:
        """End the process: waiting for lanes, or for a shutdown, Ray would end it before."""
        if self._watch is not None and isinstance(error, RayLostError) and self._watch.lost():
            self._watch.leave(str(error))

    def leave(self) -> None:
        import ray

        if self._watch is not None:
            self._watch.end()
        if self._is_ours:
            ray.shutdown()
        if self._folder is not None:
            self._folder.remove()


def _refuse_if_open(dashboard: str) -> None:
    """Raises UserError if whoever reaches the cluster may use it. A dashboard out of reach says nothing."""
    from pipeline.engine.jobs.cluster import MODE, asks_for_token, open_to_all

    if os.environ.get(MODE) == "disabled":
        return
    try:
        asks = asks_for_token(dashboard)
    except UserError:
        return
    if not asks:
        raise UserError(open_to_all(dashboard))
