"""Several experiments as one piece of work: what they share runs once, and each has its own results."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import CHAIN, PRUNE, Grid, Work
from pipeline.experiment.loading import load_all, members
from pipeline.experiment.stages import Stage


@dataclass(frozen=True)
class Collection(Work):
    """The work of several grids; stages of equal keys are one."""

    members: tuple[Grid, ...] = ()

    @property
    def grids(self) -> tuple[Grid, ...]:
        return self.members


def open_work(
    path: str | Path,
    overrides: Sequence[str] = (),
    data_root: str | Path = "data",
    expanded: dict[Path, Grid] | None = None,
    without_absent: bool = False,
) -> Work:
    """The grid in the file at `path`, or all grids of the collection there. Raises UserError.

    `expanded`: grids that were opened before with the same options, by file; this one's are added. `without_absent` as
    `expand` has it.
    """
    name, specs = load_all(path, overrides)
    known = {} if expanded is None else expanded
    files = [member.resolve() for member in members(path)]
    stages: set[str] = set()
    ceiling = max(spec.max_stages for spec in specs)
    for file, spec in zip(files, specs, strict=True):
        if file not in known:
            known[file] = expand(spec, data_root, without_absent)
        stages |= known[file].stages.keys()
        if len(stages) > ceiling:
            what = (
                f"these experiments plan at least {len(stages):,} stages, more than the largest max_stages among them"
            )
            raise UserError(f"{path}: {what} ({ceiling:,}). Name fewer, or raise max_stages in one, if it is meant.")
    grids = [known[file] for file in files]
    return grids[0] if len(grids) == 1 else together(name, grids)


def together(name: str, grids: Sequence[Grid]) -> Collection:
    """The union of the grids' stages, in topological order, and of what each wants kept."""
    stages: dict[str, Stage] = {}
    roles: dict[str, str] = {}
    keep: dict[str, frozenset[str]] = defaultdict(frozenset)
    requested: Counter[str] = Counter()
    kept = 0
    for grid in grids:
        requested.update(grid.requested)
        # a chain that two grids have is searched once, whoever does it: what is saved are evaluations
        requested.subtract(grid.stages[key].kind for key in grid.stages.keys() & stages if roles[key] in (CHAIN, PRUNE))
        shared = sum(len(outputs & keep[key]) for key, outputs in grid.keep.items() if key in keep)
        kept += round(grid.kept_bytes * (1 - shared / max(1, sum(map(len, grid.keep.values())))))
        for key, outputs in grid.keep.items():
            keep[key] |= outputs
        for key, stage in grid.stages.items():
            stages.setdefault(key, stage)
            roles.setdefault(key, grid.roles[key])
    points = [point for grid in grids for point in grid.points]
    notes = tuple(dict.fromkeys(note for grid in grids for note in grid.notes))
    absent = tuple(dict.fromkeys(one for grid in grids for one in grid.absent))
    return Collection(
        name, stages, points, dict(keep), roles, dict(requested), kept, notes, absent, members=tuple(grids)
    )
