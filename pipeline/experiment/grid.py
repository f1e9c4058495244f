"""From a spec to its grid: the stages, the points of its curves, and which outputs are to be kept."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.experiment.absent_data import Absent, unplanned
from pipeline.experiment.ceiling import check_ceiling, too_many
from pipeline.experiment.chains import Chain, dense_stage, prunes_output, train_stage
from pipeline.experiment.evaluations import Evaluation, dense_draws, evaluations
from pipeline.experiment.included import about_unmasked, about_unreached
from pipeline.experiment.looking import looking_once
from pipeline.experiment.resolving import Resolving, checked, reached, rounds_of
from pipeline.experiment.sides import Side
from pipeline.experiment.spec import ANY, DENSE, Spec
from pipeline.experiment.spec_pruning import Prune
from pipeline.experiment.spec_tickets import Ticket
from pipeline.experiment.stages import Stage
from pipeline.experiment.survivors import Rounds
from pipeline.recipes.references import Reference
from pipeline.recipes.starts import Dense

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


@looking_once()
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
    building = _Building(spec)
    building.note(sets)
    for number, seed in enumerate(spec.seeds):
        if number == 1:  # no two seeds have a stage in common
            building.check(len(building.stages) * len(spec.seeds))
        if spec.differs_by_seed:
            sets = _sets(resolving, seed)
            building.note(sets)
        chains = []
        for source, prune, schedule, its_targets in sets.plans:
            chain = checked(spec, (*source.at, "prune", "criterion"), Chain.build, source, prune, schedule, seed)
            building.add_chain(chain)
            chains.append(chain)
            for target in its_targets:
                for evaluation in evaluations(spec, chain, target):
                    building.add_evaluation(chain, target, evaluation)
            building.keep_tickets(chain, spec.retention.initialization)
            if its_targets:
                building.keep_starts(chain, spec.tickets)
        for target in sets.targets if spec.dense else ():
            for draw in range(dense_draws(spec, sets.rounds_on(target.name)) if target.iterations else 1):
                dense = dense_stage(target, seed, chains, draw)
                if dense is not None:
                    building.add_dense(target, seed, sets.with_output(target.name), dense, draw)
        for baseline, its_target in sets.baselines:
            building.add_baseline(baseline, its_target, seed)
    return building.finished(unplanned(resolving.lacking or {}))


@dataclass(frozen=True, slots=True)
class _Sets:
    """Sources, targets and baselines as one seed has them."""

    plans: list[tuple[Side, Prune, Rounds, list[Side]]]
    """Sources with the targets that their tickets are evaluated on."""
    targets: list[Side]
    baselines: list[tuple[Side, str]]
    """Each with the target that it stands beside."""

    def rounds_on(self, target: str) -> set[int]:
        """Evaluated rounds of all tickets on a target."""
        of = [prune for _, prune, _, reached in self.plans if target in {side.name for side in reached}]
        return {number for prune in of for number in prune.evaluated}

    def with_output(self, target: str) -> bool:
        """Whether tickets on a target count the weights of the output layer."""
        return any(
            prunes_output(schedule, source)
            for source, _, schedule, reached in self.plans
            if target in {side.name for side in reached}
        )


def _sets(resolving: Resolving, seed: int) -> _Sets:
    spec, targets = resolving.spec, [target for _, target in resolving.targets(seed)]
    plans = [
        (source, entry.prune, rounds, reached(spec, source, entry, rounds, targets))
        for entry, source in resolving.sources(seed)
        for rounds in [rounds_of(spec, source, entry)]
    ]
    there = {target.name for target in targets}
    baselines = [(baseline, entry.target) for entry, baseline in resolving.baselines(seed) if entry.target in there]
    return _Sets(plans, targets, baselines)


class _Building:
    """A grid while its stages are collected; stages of equal keys are one."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.stages: dict[str, Stage] = {}
        self.roles: dict[str, str] = {}
        self.points: list[Point] = []
        self.keep: dict[str, set[str]] = defaultdict(set)
        self.requested: Counter[str] = Counter()
        self.kept_bytes = 0
        self.own: dict[str, Stage] = {}
        """Trainings of the chain at hand by key, wanted or not."""
        self.counts_only: set[str] = set()
        self.starts: dict[tuple[str, int], Reference] = {}
        self.notes: dict[str, None] = {}

    def note(self, sets: _Sets) -> None:
        """What is to be said of the sides."""
        for side in (*(plan[0] for plan in sets.plans), *sets.targets, *(side for side, _ in sets.baselines)):
            self.notes |= dict.fromkeys(side.notes)
        for source, _, rounds, _ in sets.plans:
            pruned = rounds.total - rounds.survivors[-1]
            unmasked = about_unmasked(source.model, rounds.included, pruned, rounds.total)
            unreached = about_unreached(source.model, rounds.layers)
            self.notes |= {note: None for note in (unmasked, unreached) if note}

    def add(self, stage: Stage, role: str) -> None:
        if stage.key not in self.stages:
            self.stages[stage.key] = stage
            self.roles[stage.key] = role
            self.check(len(self.stages))

    def check(self, stages: int) -> None:
        """Raises UserError if so many are too many."""
        if stages > self.spec.max_stages:
            raise too_many(self.spec, stages)

    def add_chain(self, chain: Chain) -> None:
        """The trainings that a mask is made from, and the masks."""
        self.own = {stage.key: stage for stage in chain.trainings}
        self.wanted: set[str] = set()
        for number in range(chain.prune.last_round):
            if chain.prune.pruned_round(number + 1) == number:
                self._want(chain.trainings[number])
            mask = chain.masks[number + 1]
            assert mask is not None
            self.add(mask, PRUNE)
            self.requested["prune"] += 1

    def _want(self, training: Stage) -> None:
        """A training of the chain at hand, counted once for this chain even if another one shares it."""
        if training.key not in self.wanted:
            self.wanted.add(training.key)
            self.requested["train"] += 1
            self.add(training, CHAIN)

    def add_evaluation(self, chain: Chain, target: Side, evaluation: Evaluation) -> None:
        stage = self.own.get(evaluation.stage.key)
        if stage is not None:
            self._want(stage)
        else:
            stage = evaluation.stage
            self.requested["train"] += 1
            self.add(stage, evaluation.ticket)
        if target.keeps_weights:
            self._keep(stage, "final", target)
        if evaluation.counts_only:
            self.counts_only.add(evaluation.ticket)
        mask = None if evaluation.counts_only else chain.masks[evaluation.round]
        survivors, total = chain.rounds.survivors[evaluation.round], chain.rounds.total
        self.points.append(
            Point(
                chain.source.name,
                target.name,
                evaluation.ticket,
                evaluation.round,
                chain.seed,
                stage.key,
                mask.key if mask else None,
                survivors,
                total,
                1 - survivors / total,
                evaluation.draw,
            )
        )

    def keep_tickets(self, chain: Chain, initialization: bool) -> None:
        """Masks, the weights that tickets start from, and what the chain could go on from with more rounds."""
        last = chain.prune.last_round
        for number in range(1, last + 1):
            mask = chain.masks[number]
            assert mask is not None
            self._keep(mask, "mask", chain.source)
            weights = chain.weights(number, chain.prune.rewind)
            if weights is None and initialization:
                weights = Reference(chain.trainings[0].key, "it0")
            if weights is not None:
                self._keep(self.stages[weights.stage], weights.output, chain.source)
                self.starts[chain.source.name, chain.seed] = weights
        for number, training in enumerate(chain.trainings):
            goes_on = number == chain.prune.pruned_round(last + 1)
            if training.key in self.stages and (goes_on or chain.source.keeps_weights):
                self._keep(training, "final", chain.source)

    def keep_starts(self, chain: Chain, tickets: Iterable[Ticket]) -> None:
        """Weights of round 0 that tickets start from in the place of what the chain rewinds to: part of a ticket."""
        for start in {ticket.start for ticket in tickets} - {None, "trained", "redrawn"}:
            weights = chain.weights(0, start)
            if weights is not None:
                self._keep(chain.trainings[0], weights.output, chain.source)

    def _keep(self, stage: Stage, output: str, side: Side) -> None:
        if output not in self.keep[stage.key]:
            self.keep[stage.key].add(output)
            weights = sum(math.prod(shape) for _, shape in (*side.layers, *side.model.unmasked))
            self.kept_bytes += weights // 8 if output == "mask" else 4 * weights

    def add_dense(self, target: Side, seed: int, output: bool, stage: Stage, draw: int) -> None:
        """A target's dense network; `output`: whether tickets on it count the weights of the output layer."""
        total = sum(math.prod(shape) for _, shape in (target.layers if output else target.layers[:-1]))
        self._add_network(stage, DENSE, target)
        self.points.append(Point(ANY, target.name, DENSE, 0, seed, stage.key, None, total, total, 0.0, draw))

    def add_baseline(self, baseline: Side, target: str, seed: int) -> None:
        """Another model's dense network beside the tickets on `target`."""
        stage = train_stage(baseline, seed, 0, Dense(), f"{baseline.name} {target} seed {seed}")
        total = sum(math.prod(shape) for _, shape in baseline.layers)
        self._add_network(stage, BASELINE, baseline)
        self.points.append(Point(ANY, target, baseline.name, 0, seed, stage.key, None, total, total, 0.0))

    def _add_network(self, stage: Stage, role: str, side: Side) -> None:
        """A training that nothing is pruned from or for."""
        if stage.key not in self.stages:
            self.requested["train"] += 1
        self.add(stage, role)
        if side.keeps_weights:
            self._keep(stage, "final", side)

    def finished(self, absent: tuple[Absent, ...]) -> Grid:
        return Grid(
            self.spec.name,
            self.stages,
            self._shared_points(),
            {key: frozenset(outputs) for key, outputs in self.keep.items()},
            self.roles,
            dict(self.requested),
            self.kept_bytes,
            (*self.notes, *self.spec.notes),
            absent,
            spec=self.spec,
            starts=self.starts,
        )

    def _shared_points(self) -> list[Point]:
        """The points; a random ticket that all sources of a target share is one row, of source "any"."""
        stages: dict[tuple[str, str, int, int, int], set[str]] = defaultdict(set)
        for point in self.points:
            if point.ticket in self.counts_only:
                stages[point.target, point.ticket, point.round, point.seed, point.draw].add(point.stage)
        differing = {(target, ticket) for (target, ticket, *_), keys in stages.items() if len(keys) > 1}
        shared: dict[Point, None] = {}
        for point in self.points:
            if point.ticket in self.counts_only and (point.target, point.ticket) not in differing:
                point = replace(point, source=ANY)
            shared[point] = None
        return list(shared)
