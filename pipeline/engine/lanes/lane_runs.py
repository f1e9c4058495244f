"""The Ray Train runs behind a run's lanes: started, and looked after when they end."""

import contextlib
import threading
import time
import uuid
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from pipeline.engine.lanes.lane import LaneConfig, run_lane
from pipeline.engine.lanes.leases import MakeWork, Worker
from pipeline.engine.lanes.ray_lost import RayLostError, first_line
from pipeline.engine.lanes.remote_board import RemoteBoard
from pipeline.experiment.errors import UserError
from pipeline.experiment.stages import Shape

RESTARTS = 3
"""How often Ray Train replaces the workers of a lane, before a new lane is started. What fails in stages the board
counts; this ends a lane that dies before it can say hello."""

STARTS = 3
"""So many lanes in a row that end before they said hello end the run: something is wrong with all of them."""


@dataclass(slots=True)
class LaneRun:
    """One Ray Train run, in a thread of its own."""

    shape: Shape
    thread: threading.Thread
    error: list[BaseException] = field(default_factory=list)


class LaneRuns:
    """Those of one run of the driver, by the name of their lane."""

    def __init__(self, make_work: MakeWork, heartbeat: float) -> None:
        self._make_work, self._heartbeat = make_work, heartbeat
        self._runs: dict[str, LaneRun] = {}
        self._names = 0
        self._failed_starts = 0

    @property
    def shapes(self) -> dict[str, Shape]:
        """Of the lanes whose runs have not ended, by name."""
        return {name: run.shape for name, run in self._runs.items()}

    def start(self, board: RemoteBoard, shape: Shape, folder: Path | None) -> None:
        """Start a lane that leases from `board`; Ray Train keeps its files in `folder`."""
        from ray.train import FailureConfig, RunConfig, ScalingConfig

        name = f"lane-{self._names}"
        self._names += 1
        resources = {"CPU": shape.cpus_per_worker}
        if shape.gpus_per_worker:
            resources["GPU"] = shape.gpus_per_worker
        trainer = _trainer()(
            partial(run_lane, LaneConfig(board, name, shape, self._heartbeat, self._make_work)),
            scaling_config=ScalingConfig(
                num_workers=shape.workers, use_gpu=shape.gpus_per_worker > 0, resources_per_worker=resources
            ),
            run_config=RunConfig(
                # A fresh name: Ray Train restores a run of the same name without a word.
                name=f"{name}-{uuid.uuid4().hex[:8]}",
                storage_path=str(folder) if folder else None,
                failure_config=FailureConfig(max_failures=RESTARTS),
            ),
        )
        error: list[BaseException] = []

        def fit() -> None:
            try:
                trainer.fit()
            except BaseException as caught:
                error.append(caught)

        thread = threading.Thread(target=fit, name=name, daemon=True)
        self._runs[name] = LaneRun(shape, thread, error)
        thread.start()

    def join(self, seconds: float) -> None:
        """Wait for all to end, so long in all."""
        deadline = time.monotonic() + seconds
        for run in list(self._runs.values()):
            run.thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def reap(self, board: RemoteBoard) -> None:
        """Tell the board of lanes whose runs have ended.

        Raises UserError or RayLostError when lanes cannot start, by who has to mend it.
        """
        for name, run in list(self._runs.items()):
            if run.thread.is_alive():
                continue
            reason = (str(run.error[0]) or repr(run.error[0])).splitlines()[0] if run.error else "its run ended"
            had_started = board.goodbye(name, reason)
            del self._runs[name]
            self._failed_starts = self._failed_starts + 1 if run.error and not had_started else 0
            if self._failed_starts >= STARTS:
                what = f"{STARTS} lanes in a row could not start; the last: "
                if _raised_by_workers(run.error[0]):
                    raise UserError(f"{what}{run.error[0]}")
                raise RayLostError(what + first_line(_causes(run.error[0])[0]))


def kill(worker: Worker | None) -> None:
    """Kill a lane's worker that no longer answers; Ray Train then replaces it."""
    import ray

    if worker is not None:
        with contextlib.suppress(Exception):
            ray.kill(worker.actor)


def _raised_by_workers(error: BaseException) -> bool:
    """Whether a lane ended by what its own code raised. Where Ray lost a worker, what others raise follows from it."""
    return hasattr(error, "worker_failures") and not any(
        type(cause).__module__.startswith("ray.") for cause in _causes(error)
    )


def _causes(error: BaseException) -> list[BaseException]:
    """What Ray Train wraps: failures of workers, or one of its own."""
    workers = list(getattr(error, "worker_failures", {}).values())
    return workers or [getattr(error, "controller_failure", error)]


@cache
def _trainer() -> Any:
    """Ray Train's, without what it starts for Ray Data: an actor a lane, 200 MB, and seconds of imports in its workers.

    A Ray Train that names these parts otherwise starts them, and works as well.
    """
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    class LaneTrainer(DataParallelTrainer):  # type: ignore[misc]  # Ray has no types
        def _create_default_callbacks(self) -> list[Any]:
            callbacks = super()._create_default_callbacks()
            return [each for each in callbacks if type(each).__name__ != "DatasetsCallback"]

    return LaneTrainer
