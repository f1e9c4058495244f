"""A grid as it is expanded: its stages, the points of its curves, and which outputs are to be kept."""

from dataclasses import dataclass, field

from pipeline.experiment.absent_data import Absent
from pipeline.experiment.spec import Spec
from pipeline.experiment.stages import Stage
from pipeline.recipes.references import Reference

CHAIN = "chain"
PRUNE = "prune"
BASELINE = "baseline"


@dataclass(frozen=True, slots=True)
class Point:
    """One result: a ticket of a round, trained on a target with a seed."""

    source: str
    """"any" where the ticket does not depend on the source."""
    target: str
    ticket: str
    round: int
    seed: int
    stage: str
    mask: str | None
    survivors: int
    total: int
    fraction_pruned: float
    draw: int = 0
    """Of a control that is drawn several times for each ticket, or of a dense network that is trained several times."""


@dataclass(frozen=True)
class Work:
    """Everything that is asked for; what of it exists is the plan's business."""

    name: str
    stages: dict[str, Stage] = field(default_factory=dict)
    """In topological order."""
    points: list[Point] = field(default_factory=list)
    keep: dict[str, frozenset[str]] = field(default_factory=dict)
    """Outputs that must exist when all is done."""
    roles: dict[str, str] = field(default_factory=dict)
    """What a stage is for: "chain", "prune", "dense", "baseline" or a ticket's name; the first one of several."""
    requested: dict[str, int] = field(default_factory=dict)
    """Stages by kind if every evaluated round were trained anew: what sharing saves is the difference."""
    kept_bytes: int = 0
    """Roughly, of all that `keep` names: weights of 4 bytes, masks of one bit."""
    notes: tuple[str, ...] = ()
    """What a plan, a run and a report say of the data, the models and the spec: sentences, each once."""
    absent: tuple[Absent, ...] = ()
    """Data that is not there, so that nothing of what reads it could be planned."""

    @property
    def grids(self) -> "tuple[Grid, ...]":
        """The experiments that this is the work of."""
        raise NotImplementedError


@dataclass(frozen=True)
class Grid(Work):
    """Everything that one experiment asks for."""

    spec: Spec = field(kw_only=True)
    starts: dict[tuple[str, int], Reference] = field(default_factory=dict, kw_only=True)
    """By source and seed: the weights that tickets of the chain start from, where they are kept."""

    @property
    def grids(self) -> "tuple[Grid, ...]":
        return (self,)

    @property
    def about(self) -> tuple[str, ...]:
        """What a report says of the data, the models and the spec, and of what is in the spec and not in the grid."""
        return (*self.notes, *(one.what for one in self.absent))
