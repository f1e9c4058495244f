"""The chain of a source and a seed: train, prune, rewind, train again; and what its tickets start from."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipeline.experiment.sides import Side
from pipeline.experiment.spec_pruning import Prune
from pipeline.experiment.stages import Input, Stage, make_stage
from pipeline.experiment.survivors import Schedule
from pipeline.experiment.user_files import source_of
from pipeline.recipes.steps import Steps

Start = tuple[dict[str, Any], dict[str, Input]]
"""The `start` of a train stage's fields, and the inputs it refers to."""


def train_stage(side: Side, seed: int, number: int, start: Start, label: str, first_iteration: int = 0) -> Stage:
    """A training on `side` at round `number`; an empty start is the dense network from scratch."""
    fields, inputs = start
    complete = {**side.template, "seed": seed, "round": number}
    if fields:
        complete["start"] = fields
    if first_iteration:
        complete["first_iteration"] = first_iteration
    return make_stage(
        "train",
        complete,
        inputs,
        label=label,
        iterations=side.iterations - first_iteration,
        shape=side.shape,
        locations=side.locations,
    )


@dataclass
class Chain:
    """`trainings[r]` and `masks[r]` are the stages of round r; there is no mask of round 0."""

    source: Side
    prune: Prune
    schedule: Schedule
    seed: int
    trainings: list[Stage] = field(default_factory=list)
    masks: list[Stage | None] = field(default_factory=list)

    @classmethod
    def build(cls, source: Side, prune: Prune, schedule: Schedule, seed: int) -> "Chain":
        """Every round's stages, the last training among them: it is wanted only where its ticket is evaluated."""
        chain = cls(source, prune, schedule, seed)
        chain.trainings.append(train_stage(source, seed, 0, ({}, {}), chain._label("dense")))
        chain.masks.append(None)
        for number in range(1, prune.last_round + 1):
            chain.masks.append(chain._mask(number))
            start = chain.start(number, prune.rewind)
            first = chain.first_iteration(source, prune.rewind)
            chain.trainings.append(train_stage(source, seed, number, start, chain._label(f"round {number}"), first))
        return chain

    def start(self, number: int, moment: object, head: bool = False, control: dict[str, Any] | None = None) -> Start:
        """The ticket of round `number`, its weights as of `moment` (see `weights`); `head`: redraw the output layer.

        A head is part of the weights that are read: where weights are drawn from the seed, so is the head, anyway.
        """
        fields: dict[str, Any] = {}
        inputs: dict[str, Input] = {}
        mask = self.masks[number]
        if mask is not None:
            inputs["mask"] = Input(mask.key, "mask")
            fields["mask"] = inputs["mask"].reference()
        redrawn = control is not None and control["weights"] == "redrawn"
        weights = None if redrawn else self.weights(number, moment)
        if weights is not None:
            inputs["weights"] = weights
            fields["weights"] = weights.reference()
            if head:
                fields["head"] = "redraw"
        if control:
            fields["control"] = control
        if fields and mask is not None:
            fields |= self.counted
        return fields, inputs

    @property
    def counted(self) -> dict[str, Any]:
        """Which layers a mask of this chain is over, as the `start` of a train stage has it."""
        chosen: dict[str, Any] = {"layers": list(self.schedule.layers)} if self.schedule.chosen else {}
        chosen |= {"included": list(self.schedule.included)} if self.schedule.included else {}
        return chosen | ({"prunes_output": True} if self.prunes_output else {})

    @property
    def prunes_output(self) -> bool:
        return prunes_output(self.schedule, self.source)

    def weights(self, number: int, moment: object) -> Input | None:
        """What the ticket of round `number` starts from; None: the initialization, which the seed alone gives."""
        if isinstance(moment, Steps):
            iteration = self.source.moment(moment)
            output = "final" if iteration == self.source.iterations else f"it{iteration}"
            return Input(self.trainings[0].key, output) if iteration else None
        if moment == "early-stop":
            return Input(self.trainings[0].key, "early-stop")
        if moment == "final" or number == 0:
            return Input(self.trainings[0].key, "final")
        return Input(self.trainings[self.prune.pruned_round(number)].key, "final")

    def first_iteration(self, side: Side, moment: object) -> int:
        """Where in its schedule a training on `side` begins after rewinding to `moment`."""
        return side.moment(moment) if side.trains_remainder and isinstance(moment, Steps) else 0

    def _mask(self, number: int) -> Stage:
        trained = Input(self.trainings[self.prune.pruned_round(number)].key, "final")
        inputs = {"trained": trained}
        fields: dict[str, Any] = {"trained": trained.reference()}
        before = self.masks[number - 1]
        # one shot to a fraction has no round before it; by a rate, it goes on pruning the same weights
        if before is not None and not (self.prune.method == "one-shot" and self.prune.fractions is not None):
            inputs["mask"] = Input(before.key, "mask")
            fields["mask"] = inputs["mask"].reference()
        fields |= {"layers": list(self.schedule.layers), "seed": self.seed, "rule": self.schedule.rules[number]}
        locations = dict(self.source.locations)
        if ".py:" not in self.prune.criterion:
            if self.prune.criterion != "magnitude":
                fields["criterion"] = {"name": self.prune.criterion}
        else:
            file, function, digest = _criterion(self.prune.criterion)
            fields["criterion"] = {"name": "user", "function": function, "source": digest}
            locations["criterion"] = file
        return make_stage(
            "prune", fields, inputs, label=self._label(f"prune {number}"), shape=self.source.shape, locations=locations
        )

    def _label(self, what: str) -> str:
        return f"{self.source.name} seed {self.seed} {what}"


def dense_stage(target: Side, seed: int, chains: Iterable[Chain], draw: int = 0) -> Stage | None:
    """The dense network of `target`: trained on it from scratch.

    A further `draw` of it has an initialization and an order of images of its own. Where nothing is trained, it is what
    the chains on the target's data trained before they pruned; None where that is not one network.
    """
    label = f"dense {target.name} seed {seed}"
    if target.iterations and draw:
        return train_stage(target, seed, draw, ({"draw": draw}, {}), f"{label} draw {draw}")
    if target.iterations:
        return train_stage(target, seed, 0, ({}, {}), label)
    same = [
        chain
        for chain in chains
        if chain.source.data_identity == target.data_identity
        and chain.source.template["model"] == target.template["model"]
    ]
    stages = [train_stage(target, seed, 0, chain.start(0, "trained"), label) for chain in same]
    return stages[0] if len({stage.key for stage in stages}) == 1 else None


def prunes_output(schedule: Schedule, source: Side) -> bool:
    """Whether the source's output layer is among those that are pruned."""
    return source.layers[-1][0] in schedule.layers


def _criterion(reference: str) -> tuple[str, str, str]:
    file, function, digest = source_of(reference)
    return str(file), function, digest
