"""Lanes on a Ray cluster: starts a Ray Train run for each lane, follows the board, replaces what is lost."""

import contextlib
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pipeline.engine.board_actor import BoardActor
from pipeline.engine.capacity import LaneState, check_feasible, decide, lane_limit, room_to_grow
from pipeline.engine.cluster_nodes import Room
from pipeline.engine.lane import run_lane
from pipeline.engine.lane_folder import LaneFolder
from pipeline.engine.leases import View
from pipeline.engine.ray_session import RayLostError, Watch, first_line, start_ray
from pipeline.experiment.errors import UserError
from pipeline.experiment.stages import Shape, Stage

QUIET = {
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a second actor per lane, 100 MB
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how soon a dead worker is seen, and a finished lane leaves
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_COLOR_PREFIX": "0",  # colours are control characters, which are shown escaped
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Settings of Ray and Ray Train for lanes; set before Ray is imported, and left alone where the user set them."""

GRACE = 20.0
"""Seconds that lanes have to checkpoint when a run is stopped; what takes longer is dropped."""

RESTARTS = 3
"""How often Ray Train replaces the workers of a lane, before a new lane is started. What fails in stages the board
counts; this ends a lane that dies before it can say hello."""

STARTS = 3
"""So many lanes in a row that end before they said hello end the run: something is wrong with all of them."""


class BoardLostError(RayLostError):
    """The board actor died or cannot be reached."""


@dataclass(slots=True)
class LaneOptions:
    """How lanes are run."""

    make_work: Callable[[Shape], Callable[[threading.Event], Any]]
    """For a lane's shape, the function that makes the work in each of its worker processes."""
    lanes: int | None = None
    """At most so many lanes; default: what fits CPUs, GPUs and the driver node's memory."""
    heartbeat: float = 1.0
    """Seconds between two; also how late a lane learns that it must stop, of the 3 s that `ray job stop` leaves."""
    lease_timeout: float = 60.0
    fail_fast: bool = False
    address: str = "local"
    note: Callable[[str], None] = print
    """Says what the driver waits for."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when the run is to stop: a Ray that did not come up is not started again then."""


@dataclass(slots=True)
class _Run:
    shape: Shape
    thread: threading.Thread
    error: list[BaseException] = field(default_factory=list)


class RayLanes:
    """All lanes of one run of the driver. Use as a context manager around `ray.init`."""

    def __init__(self, options: LaneOptions) -> None:
        self._options = options
        self._runs: dict[str, _Run] = {}
        self._folder: LaneFolder | None = None
        self._names = 0
        self._failed_starts = 0
        self._watch: Watch | None = None
        self._owns_ray = False

    def __enter__(self) -> "RayLanes":
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)

        self._folder = LaneFolder()
        try:
            self._join_ray()
        except BaseException:
            self._folder.remove()
            raise
        return self

    def _join_ray(self) -> None:
        """Start a Ray, or connect to one, and watch it."""
        import ray

        assert self._folder is not None
        on_sigterm = signal.getsignal(signal.SIGTERM)
        if not ray.is_initialized():
            try:
                with self._folder.holding_temporary_files():
                    context = start_ray(self._options.address, self._options.note, self._options.stop)
            finally:
                if threading.current_thread() is threading.main_thread():
                    signal.signal(signal.SIGTERM, on_sigterm)  # should another version of Ray have replaced it
            self._owns_ray = True
            if self._options.address != "local" and context.dashboard_url:
                _refuse_if_open(f"http://{context.dashboard_url}")
        try:
            self._watch = Watch(self._folder.remove)
        except Exception as error:  # it asks Ray for its nodes
            raise RayLostError(f"Ray was lost while it started ({first_line(error)})") from error
        self._watch.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        import ray

        if self._watch is not None and isinstance(error, RayLostError) and self._watch.lost():
            self._watch.leave(str(error))  # waiting for lanes, or for a shutdown, Ray would end the process before
        self._join(10.0)
        if self._watch is not None:
            self._watch.end()
        if self._owns_ray:
            ray.shutdown()
        if self._folder is not None:
            self._folder.remove()

    def _join(self, seconds: float) -> None:
        """Wait for all lanes' runs to end, so long in all."""
        deadline = time.monotonic() + seconds
        for run in list(self._runs.values()):
            run.thread.join(timeout=max(0.0, deadline - time.monotonic()))

    def run(
        self,
        stages: Sequence[Stage],
        wanted: Mapping[str, frozenset[str]],
        keep: Mapping[str, frozenset[str]],
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
            if self._watch is not None and self._watch.lost():
                raise RayLostError(f"The Ray cluster is gone ({first_line(error)})") from error
            raise

    def _run(
        self,
        stages: Sequence[Stage],
        wanted: Mapping[str, frozenset[str]],
        keep: Mapping[str, frozenset[str]],
        stop: threading.Event,
        follow: Callable[[View], None],
        every: float,
    ) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        room = Room()
        if not room.grows:
            check_feasible(list({stage.shape for stage in stages}), room.nodes)
        limit = self._options.lanes or lane_limit()
        # Beside the driver: on another node it would end the run when that one goes away.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        settings = {"num_cpus": 0, "max_restarts": 0, "max_concurrency": 1000, "scheduling_strategy": here}
        actor: Any = ray.remote(**settings)(BoardActor)
        options = {"lease_timeout": self._options.lease_timeout, "fail_fast": self._options.fail_fast}
        board = actor.remote(list(stages), dict(wanted), dict(keep), options)
        told: float | None = None
        try:
            while True:
                view: View = ray.get(board.poll.remote(), timeout=60)
                follow(view)
                self._reap(board)
                for lane in view.expired:
                    _kill(lane.who)
                if stop.is_set() and told is None:
                    ray.get(board.stop.remote())
                    told = time.monotonic()
                if view.over:
                    break
                if told is None:
                    self._place(board, view, room, limit)
                elif time.monotonic() - told > GRACE:
                    break
                time.sleep(every)
            ray.get(board.stop.remote())
            self._join(30.0)
            self._reap(board)
        finally:
            with contextlib.suppress(Exception):
                ray.kill(board)

    def _place(self, board: Any, view: View, room: Room, limit: int) -> None:
        import ray

        known = {lane.name: lane for lane in view.lanes}
        states = []
        for name, run in self._runs.items():
            lane = known.get(name)
            # A lane that has not said hello yet is as good as idle: a stage is on its way to it.
            states.append(LaneState(name, run.shape, bool(lane and lane.lease), bool(lane and lane.draining), not lane))
        cpus, gpus = room.totals()
        if room.grows:
            cpus, gpus = room_to_grow(cpus, gpus, states, view.demand)
        decision = decide(cpus, gpus, limit, states, view.demand)
        for shape in decision.start:
            self._start(board, shape)
        for name in decision.drain:
            ray.get(board.drain.remote(name))

    def _start(self, board: Any, shape: Shape) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig

        name = f"lane-{self._names}"
        self._names += 1
        resources = {"CPU": shape.cpus_per_worker}
        if shape.gpus_per_worker:
            resources["GPU"] = shape.gpus_per_worker
        trainer = _trainer()(
            run_lane,
            train_loop_config={
                "board": board,
                "lane": name,
                "shape": shape,
                "heartbeat": self._options.heartbeat,
                "make_work": self._options.make_work(shape),
            },
            scaling_config=ScalingConfig(
                num_workers=shape.workers, use_gpu=shape.gpus_per_worker > 0, resources_per_worker=resources
            ),
            run_config=RunConfig(
                # A fresh name: Ray Train restores a run of the same name without a word.
                name=f"{name}-{uuid.uuid4().hex[:8]}",
                storage_path=str(self._folder.path) if self._folder else None,
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
        self._runs[name] = _Run(shape, thread, error)
        thread.start()

    def _reap(self, board: Any) -> None:
        import ray

        for name, run in list(self._runs.items()):
            if run.thread.is_alive():
                continue
            reason = (str(run.error[0]) or repr(run.error[0])).splitlines()[0] if run.error else "its run ended"
            had_started = ray.get(board.goodbye.remote(name, reason))
            del self._runs[name]
            self._failed_starts = self._failed_starts + 1 if run.error and not had_started else 0
            if self._failed_starts >= STARTS:
                what = f"{STARTS} lanes in a row could not start; the last: "
                if _raised_by_workers(run.error[0]):
                    raise UserError(f"{what}{run.error[0]}")
                raise RayLostError(what + first_line(_causes(run.error[0])[0]))


def _raised_by_workers(error: BaseException) -> bool:
    """Whether a lane ended by what its own code raised. Where Ray lost a worker, what others raise follows from it."""
    return hasattr(error, "worker_failures") and not any(
        type(cause).__module__.startswith("ray.") for cause in _causes(error)
    )


def _causes(error: BaseException) -> list[BaseException]:
    """What Ray Train wraps: failures of workers, or one of its own."""
    workers = list(getattr(error, "worker_failures", {}).values())
    return workers or [getattr(error, "controller_failure", error)]


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


def _kill(who: dict[str, Any]) -> None:
    """Kill a lane's worker that no longer answers; Ray Train then replaces it."""
    import ray

    with contextlib.suppress(Exception):
        ray.kill(who["actor"])


@cache
def _trainer() -> Any:
    """Ray Train's, without what it starts for Ray Data: an actor a lane, 200 MB, and seconds of imports in its workers.

    A Ray Train that names these parts otherwise starts them, and works as well.
    """
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    class LaneTrainer(DataParallelTrainer):  # type: ignore[misc]
        def _create_default_callbacks(self) -> list[Any]:
            callbacks = super()._create_default_callbacks()
            return [each for each in callbacks if type(each).__name__ != "DatasetsCallback"]

    return LaneTrainer
