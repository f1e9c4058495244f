"""Lanes as the driver sees them: the same for Ray's and for the one of this process."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from pipeline.engine.lanes.leases import MakeWork, OutputNames
from pipeline.engine.lanes.view import View
from pipeline.experiment.errors import UserError
from pipeline.experiment.stages import Stage


class Lanes(Protocol):
    """A context manager; between its ends, any number of times, stages are run."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def run(
        self,
        stages: Sequence[Stage],
        wanted: OutputNames,
        keep: OutputNames,
        stop: threading.Event,
        follow: Callable[[View], None],
    ) -> None:
        """Run the stages until all are done that can be, or `stop` is set; `follow` sees how it goes.

        `wanted`: outputs to write, by stage key; `keep`: those that stay when all is done, others are transient.
        """


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """How lanes are run."""

    make_work: MakeWork
    lanes: int | None = None
    """At most so many lanes; default: what fits CPUs, GPUs and the driver node's memory."""
    heartbeat: float = 1.0
    """Seconds between two; also how late a lane learns that it must stop, of the 3 s that `ray job stop` leaves."""
    lease_timeout: float = 60.0
    fail_fast: bool = False
    address: str = "local"
    say: Callable[[str], None] = print
    """What the driver waits for."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when the run is to stop: a Ray that did not come up is not started again then."""


def lanes_of(options: LaneOptions, *, local: bool) -> Lanes:
    """Those of this process, or Ray's; Ray is imported only for these."""
    if local:
        from pipeline.engine.lanes.local_lane import LocalLane

        return LocalLane(options.make_work, options.fail_fast)
    from pipeline.engine.lanes.ray_lanes import RayLanes

    return RayLanes(options)


def refuse_wide(stages: Sequence[Stage]) -> None:
    """Raises UserError for stages that the lane of this process cannot run."""
    wide = next((stage for stage in stages if stage.kind == "train" and stage.shape.workers > 1), None)
    if wide is not None:
        raise UserError(
            f"{wide.label} asks for {wide.shape.workers} workers, which are as many processes: leave out --local, or "
            "set `resources: {workers: 1}` (another result: each worker has batch norm statistics of its own)."
        )
