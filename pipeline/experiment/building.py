"""A grid while its stages are collected."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace

from pipeline.experiment.absent_data import Absent
from pipeline.experiment.ceiling import too_many
from pipeline.experiment.chains import Chain, train_stage
from pipeline.experiment.evaluations import Evaluation
from pipeline.experiment.grid import BASELINE, CHAIN, PRUNE, Grid, Point
from pipeline.experiment.included import about_unmasked, about_unreached
from pipeline.experiment.sides import Side
from pipeline.experiment.spec import ANY, DENSE, Spec
from pipeline.experiment.spec_tickets import TicketKind
from pipeline.experiment.stages import Stage
from pipeline.experiment.survivors import Rounds
from pipeline.recipes.references import Reference
from pipeline.recipes.starts import Dense


class Building:
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

    def note(self, sources: Iterable[tuple[Side, Rounds]], others: Iterable[Side]) -> None:
        """What is to be said of the sides."""
        found = list(sources)
        for side in (*(source for source, _ in found), *others):
            self.notes |= dict.fromkeys(side.notes)
        for source, rounds in found:
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

    def keep_starts(self, chain: Chain, tickets: Iterable[TicketKind]) -> None:
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
