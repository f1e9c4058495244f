"""Several experiments as one piece of work: what they share runs once, and each has its own results."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.experiment.grid import Grid, Work, expand
from pipeline.experiment.loading import load_all


@dataclass(frozen=True)
class Collection(Work):
    """The work of several grids; stages of equal keys are one."""

    members: tuple[Grid, ...] = ()

    @property
    def grids(self) -> tuple[Grid, ...]:
        return self.members


def open_work(path: str | Path, overrides: Sequence[str] = (), data_root: str | Path = "data") -> Work:
    """The grid in the file at `path`, or all grids of the collection there. Raises UserError."""
    name, specs = load_all(path, overrides)
    grids = [expand(spec, data_root) for spec in specs]
    return grids[0] if len(grids) == 1 else together(name, grids)


def together(name: str, grids: Sequence[Grid]) -> Collection:
    """The union of the grids' stages, in topological order, and of what each wants kept."""
    keep: dict[str, frozenset[str]] = defaultdict(frozenset)
    requested: Counter[str] = Counter()
    for grid in grids:
        for key, outputs in grid.keep.items():
            keep[key] |= outputs
        requested.update(grid.requested)
    return Collection(
        name,
        {key: stage for grid in grids for key, stage in grid.stages.items()},
        [point for grid in grids for point in grid.points],
        dict(keep),
        {key: role for grid in reversed(grids) for key, role in grid.roles.items()},
        dict(requested),
        sum(grid.kept_bytes for grid in grids),
        members=tuple(grids),
    )
