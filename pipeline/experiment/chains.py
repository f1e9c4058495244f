"""The chain of a source and a seed: train, prune, rewind, train again; and what its tickets start from."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from pipeline.experiment.sides import Side
from pipeline.experiment.spec_pruning import Prune
from pipeline.experiment.stages import Stage, make_stage
from pipeline.experiment.survivors import Rounds
from pipeline.experiment.user_files import check_parameters, source_of
from pipeline.recipes import pruning
from pipeline.recipes.controls import Control
from pipeline.recipes.criteria import SCORE, BuiltInCriterion, Criterion, UserCriterion
from pipeline.recipes.layers import MaskedLayers
from pipeline.recipes.references import Reference
from pipeline.recipes.starts import REDRAWN, Dense, FromTicket, Start
from pipeline.recipes.steps import Steps
from pipeline.recipes.training import Train


def train_stage(side: Side, seed: int, number: int, start: Start, label: str, first_iteration: int = 0) -> Stage:
    """A training on `side` at round `number`."""
    recipe = Train(side.configuration, seed, number, start, first_iteration)
    return make_stage(recipe, label=label, shape=side.shape, locations=side.locations)


@dataclass
class Chain:
    """`trainings[r]` and `masks[r]` are the stages of round r; there is no mask of round 0."""

    source: Side
    prune: Prune
    rounds: Rounds
    seed: int
    trainings: list[Stage] = field(default_factory=list)
    masks: list[Stage | None] = field(default_factory=list)

    @classmethod
    def build(cls, source: Side, prune: Prune, rounds: Rounds, seed: int) -> "Chain":
        """Every round's stages, the last training among them: it is wanted only where its ticket is evaluated."""
        chain = cls(source, prune, rounds, seed)
        chain.trainings.append(train_stage(source, seed, 0, Dense(), chain._label("dense")))
        chain.masks.append(None)
        for number in range(1, prune.last_round + 1):
            chain.masks.append(chain._mask(number))
            start = chain.start(number, prune.rewind)
            first = chain.first_iteration(source, prune.rewind)
            chain.trainings.append(train_stage(source, seed, number, start, chain._label(f"round {number}"), first))
        return chain

    def start(self, number: int, moment: object, head: bool = False, control: Control | None = None) -> Start:
        """The ticket of round `number`, its weights as of `moment` (see `weights`); `head`: redraw the output layer.

        A head is part of the weights that are read: where weights are drawn from the seed, so is the head, anyway.
        """
        stage = self.masks[number]
        mask = None if stage is None else Reference(stage.key, "mask")
        redrawn = control is not None and control.weights == "redrawn"
        weights = None if redrawn else self.weights(number, moment)
        if mask is None and weights is None:
            return Dense()
        redrawn_head = REDRAWN if head and weights is not None else None
        return FromTicket(mask, weights, redrawn_head, control, self.masked_layers if mask else MaskedLayers())

    @cached_property
    def masked_layers(self) -> MaskedLayers:
        """Which layers a mask of this chain is over."""
        chosen = self.rounds.layers if self.rounds.chosen else None
        return MaskedLayers(chosen, self.rounds.included, prunes_output(self.rounds, self.source))

    def weights(self, number: int, moment: object) -> Reference | None:
        """What the ticket of round `number` starts from; None: the initialization, which the seed alone gives."""
        if isinstance(moment, Steps):
            iteration = self.source.moment(moment)
            output = "final" if iteration == self.source.iterations else f"it{iteration}"
            return Reference(self.trainings[0].key, output) if iteration else None
        if moment == "early-stop":
            return Reference(self.trainings[0].key, "early-stop")
        if moment == "final" or number == 0:
            return Reference(self.trainings[0].key, "final")
        return Reference(self.trainings[self.prune.pruned_round(number)].key, "final")

    def first_iteration(self, side: Side, moment: object) -> int:
        """Where in its schedule a training on `side` begins after rewinding to `moment`."""
        return side.moment(moment) if side.trains_remainder and isinstance(moment, Steps) else 0

    def _mask(self, number: int) -> Stage:
        before, rule = self.masks[number - 1], self.rounds.rules[number]
        assert rule is not None
        # one shot to a fraction has no round before it; by a rate, it goes on pruning the same weights
        goes_on = before is not None and not (self.prune.method == "one-shot" and self.prune.fractions is not None)
        criterion, file = _criterion(self.prune.criterion)
        pruned = self.prune.pruned_round(number)
        recipe = pruning.Prune(
            Reference(self.trainings[pruned].key, "final"),
            self.rounds.layers,
            self.seed,
            rule,
            Reference(before.key, "mask") if before is not None and goes_on else None,
            criterion,
            self._initial(pruned) if "initial" in criterion.needs else None,
        )
        locations = self.source.locations | ({"criterion": file} if file is not None else {})
        return make_stage(recipe, label=self._label(f"prune {number}"), shape=self.source.shape, locations=locations)

    def _initial(self, number: int) -> Reference:
        """The weights that the training of round `number` started from; its mask is not in them."""
        rewound = self.weights(number, self.prune.rewind) if number else None
        return rewound or Reference(self.trainings[0].key, "it0")

    def _label(self, what: str) -> str:
        return f"{self.source.name} seed {self.seed} {what}"


def dense_stage(target: Side, seed: int, chains: Iterable[Chain], draw: int = 0) -> Stage | None:
    """The dense network of `target`: trained on it from scratch.

    A further `draw` of it has an initialization and an order of images of its own. Where nothing is trained, it is what
    the chains on the target's data trained before they pruned; None where that is not one network.
    """
    label = f"dense {target.name} seed {seed}"
    if target.iterations and draw:
        return train_stage(target, seed, draw, Dense(draw), f"{label} draw {draw}")
    if target.iterations:
        return train_stage(target, seed, 0, Dense(), label)
    same = [
        chain
        for chain in chains
        if chain.source.data_identity == target.data_identity
        and chain.source.configuration.model == target.configuration.model
    ]
    stages = [train_stage(target, seed, 0, chain.start(0, "trained"), label) for chain in same]
    return stages[0] if len({stage.key for stage in stages}) == 1 else None


def prunes_output(rounds: Rounds, source: Side) -> bool:
    """Whether the source's output layer is among those that are pruned."""
    return source.layers[-1][0] in rounds.layers


def _criterion(written: str) -> tuple[Criterion, str | None]:
    """What a grid names, and the file of a user's own."""
    if ".py:" not in written:
        return BuiltInCriterion(written), None
    file, function, digest = source_of(written)
    check_parameters(written, SCORE)
    return UserCriterion(function, digest), str(file)
