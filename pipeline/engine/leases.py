"""What passes between the board, its lanes and the driver: leases, lanes, views."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.engine.outcomes import Outcome, Tally
from pipeline.experiment.stages import Shape, Stage


@dataclass(frozen=True, slots=True)
class Lease:
    """One attempt at one stage by one lane."""

    stage: Stage
    wanted: frozenset[str]
    """Outputs to write."""
    keep: frozenset[str]
    """Outputs that stay when all is done; others are transient."""
    lane: str
    attempt: int


Work = Callable[[Lease, Callable[[int, dict[str, Any] | None], None]], Outcome]
"""What runs one lease in a lane's process; it is given where to report iterations done and records."""

Answer = Lease | Literal["wait", "return"]


@dataclass(slots=True)
class Lane:
    """What the board knows of a lane."""

    name: str
    shape: Shape
    session: int = 0
    """Raised each time the lane says hello: a worker that was replaced cannot lease or complete any more."""
    lease: Lease | None = None
    seen: float = 0.0
    progress: dict[str, Any] = field(default_factory=dict)
    who: dict[str, Any] = field(default_factory=dict)
    draining: bool = False


@dataclass(slots=True)
class View:
    """What the driver follows a run by: events since the last view, and the state of the lanes now."""

    events: list[dict[str, Any]]
    lanes: list[Lane]
    expired: list[Lane]
    demand: dict[Shape, tuple[int, float]]
    tally: Tally
    lost_inputs: set[tuple[str, str | None]]
    over: bool
