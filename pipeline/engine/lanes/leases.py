"""What passes between the board and its lanes: a lease, how far it is, and who works on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from pipeline.engine.lanes.outcomes import Outcome
from pipeline.experiment.stages import Shape, Stage

if TYPE_CHECKING:
    from pipeline.lottery.parallel import Group

Metrics = Mapping[str, float | None]
"""A record of a training's history, as `lottery.history` describes it."""

OutputNames = Mapping[str, frozenset[str]]
"""Of stages, by their keys."""


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

    @property
    def id(self) -> Attempt:
        return self.stage.key, self.attempt


Attempt = tuple[str, int]
"""Key of a stage, and the number of the attempt at it."""

Answer = Lease | Literal["wait", "return"]
"""What the board says to a lane that asks for a stage."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a lane is with its stage."""

    iteration: int = 0
    """Iterations done."""
    record: Metrics | None = None
    """The latest."""


NOT_BEGUN = Progress()


@dataclass(frozen=True, slots=True)
class Worker:
    """The process that speaks for a lane: rank 0 of its workers."""

    pid: int
    host: str
    node: str
    """Ray's id of it."""
    actor: object
    """Ray's handle, by which it can be killed."""


ReportProgress = Callable[[int, Metrics | None], None]
"""Takes the iterations done and, at a record of the history, the record."""

RunLease = Callable[[Lease, ReportProgress], Outcome]
"""What runs one lease in a lane's process."""


class MakeWork(Protocol):
    """Makes what runs the leases of one of a lane's processes. It is pickled, and called there."""

    def __call__(self, shape: Shape, stop: threading.Event, group: Group | None = None) -> RunLease:
        """For a lane of this shape; `stop`: set when the work is to end. `group`: a lane's several workers."""
