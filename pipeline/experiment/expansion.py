"""From a spec to its grid: the stages of all its chains and evaluations, shared ones once."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.experiment.absent_data import unplanned
from pipeline.experiment.building import Building
from pipeline.experiment.ceiling import check_ceiling
from pipeline.experiment.chains import Chain, dense_stage, prunes_output
from pipeline.experiment.evaluations import dense_draws, evaluations
from pipeline.experiment.grid import Grid
from pipeline.experiment.reading_once import reading_once
from pipeline.experiment.resolving import Resolving, checked, fitting_targets, rounds_of
from pipeline.experiment.sides import Side
from pipeline.experiment.spec import Spec
from pipeline.experiment.spec_pruning import Prune
from pipeline.experiment.survivors import Rounds


@reading_once()
def expand(spec: Spec, data_root: str | Path = "data", without_absent: bool = False) -> Grid:
    """All stages of `spec`, shared ones once. Reads headers and labels of data sets, never their pixels.

    `without_absent`: sources, targets and baselines of which nothing can be planned, as their data is not there, are
    left out, and the grid says so (`Work.absent`).

    Raises UserError, with file and line, for what is impossible: missing data, a rewind after the end of training, a
    target that does not fit a source's tickets; and for more stages than `max_stages`.
    """
    check_ceiling(spec)
    resolving = Resolving(spec, Path(data_root), {} if without_absent else None)
    sets = _sets(resolving, spec.seeds[0])
    building = Building(spec)
    building.note(*sets.noted)
    for number, seed in enumerate(spec.seeds):
        if number == 1:  # no two seeds have a stage in common
            building.check(len(building.stages) * len(spec.seeds))
        if spec.differs_by_seed:
            sets = _sets(resolving, seed)
            building.note(*sets.noted)
        chains = []
        for source, prune, schedule, targets in sets.plans:
            chain = checked(spec, (*source.at, "prune", "criterion"), Chain.build, source, prune, schedule, seed)
            building.add_chain(chain)
            chains.append(chain)
            for target in targets:
                for evaluation in evaluations(spec, chain, target):
                    building.add_evaluation(chain, target, evaluation)
            building.keep_tickets(chain, spec.retention.initialization)
            if targets:
                building.keep_starts(chain, spec.tickets)
        for target in sets.targets if spec.dense else ():
            for draw in range(dense_draws(spec, sets.rounds_on(target.name)) if target.iterations else 1):
                dense = dense_stage(target, seed, chains, draw)
                if dense is not None:
                    building.add_dense(target, seed, sets.with_output(target.name), dense, draw)
        for baseline, beside in sets.baselines:
            building.add_baseline(baseline, beside, seed)
    return building.finished(unplanned(resolving.lacking or {}))


@dataclass(frozen=True, slots=True)
class _Sets:
    """Sources, targets and baselines as one seed has them."""

    plans: list[tuple[Side, Prune, Rounds, list[Side]]]
    """Sources with the targets that their tickets are evaluated on."""
    targets: list[Side]
    baselines: list[tuple[Side, str]]
    """Each with the target that it stands beside."""

    @property
    def noted(self) -> tuple[list[tuple[Side, Rounds]], list[Side]]:
        """The sources with their rounds, and all others."""
        return [(source, rounds) for source, _, rounds, _ in self.plans], [
            *self.targets,
            *(side for side, _ in self.baselines),
        ]

    def rounds_on(self, target: str) -> set[int]:
        """Evaluated rounds of all tickets on a target."""
        of = [prune for _, prune, _, targets in self.plans if target in {side.name for side in targets}]
        return {number for prune in of for number in prune.evaluated}

    def with_output(self, target: str) -> bool:
        """Whether tickets on a target count the weights of the output layer."""
        return any(
            prunes_output(schedule, source)
            for source, _, schedule, targets in self.plans
            if target in {side.name for side in targets}
        )


def _sets(resolving: Resolving, seed: int) -> _Sets:
    spec, targets = resolving.spec, [target for _, target in resolving.targets(seed)]
    plans = [
        (source, entry.prune, rounds, fitting_targets(spec, source, entry, rounds, targets))
        for entry, source in resolving.sources(seed)
        for rounds in [rounds_of(spec, source, entry)]
    ]
    there = {target.name for target in targets}
    baselines = [(baseline, entry.target) for entry, baseline in resolving.baselines(seed) if entry.target in there]
    return _Sets(plans, targets, baselines)
