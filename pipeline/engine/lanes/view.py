"""What the driver and its listeners follow a run by."""

from dataclasses import dataclass

from pipeline.engine.lanes.events import Event
from pipeline.engine.lanes.leases import NOT_BEGUN, Lease, Progress, Worker
from pipeline.engine.lanes.outcomes import StageCounts
from pipeline.experiment.stages import Shape

Demand = dict[Shape, tuple[int, float]]
"""For each shape: how many stages are ready, and how long the oldest has waited, in seconds."""


@dataclass(slots=True)
class Lane:
    """What the board knows of a lane."""

    name: str
    shape: Shape
    session: int = 0
    """Raised each time the lane says hello: a worker that was replaced cannot lease or complete any more."""
    lease: Lease | None = None
    seen: float = 0.0
    progress: Progress = NOT_BEGUN
    worker: Worker | None = None
    """None for the lane of the driver's own process."""
    draining: bool = False


@dataclass(slots=True)
class View:
    """Events since the last view, and the state of the lanes now."""

    events: list[Event]
    lanes: list[Lane]
    expired: list[Lane]
    """Their leases had no heartbeat, and were taken back."""
    demand: Demand
    counts: StageCounts
    lost_inputs: set[tuple[str, str | None]]
    over: bool
