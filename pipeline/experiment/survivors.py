"""How many weights survive each round, and the pruning rules: known from layer shapes, before anything is trained."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.experiment.included import first_names, included_in
from pipeline.experiment.layer_names import names_layer
from pipeline.experiment.models import Described
from pipeline.experiment.spec_pruning import Prune
from pipeline.experiment.suggestions import did_you_mean
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.model_base import Layers
from pipeline.recipes.rules import ByRate, ByUnits, Rule, ToFraction


@dataclass(frozen=True)
class Rounds:
    """Index is the round; round 0 is the dense network."""

    layers: tuple[str, ...]
    """Parameters that are pruned, in model order."""
    total: int
    survivors: tuple[int, ...]
    """Over all layers."""
    rules: tuple[Rule | None, ...]
    """What makes the mask of a round; None for round 0."""
    chosen: bool = False
    """Whether other prunable layers are left whole (`only`); what is counted is of `layers` alone."""
    included: tuple[str, ...] = ()
    """Parameters that `prune.include` names."""


def planned_rounds(prune: Prune, model: Described) -> Rounds:
    """The rounds of `prune` on a model.

    A rate prunes round(rate * remaining), a fraction leaves n - round(fraction * n), globally or in each layer;
    Python's round, half to even, as torch.nn.utils.prune. Raises UnfitError if nothing is left,
    or a rate or a pattern of `only` or `include` is for no layer.
    """
    layers = model.layers
    if prune.units is not None:
        return _units(prune.units, prune.last_round, layers)
    if prune.prune_output and not model.prunes_output:
        raise UnfitError(f"{layers[-1][0]} is no parameter of a linear or convolutional layer.", "prune_output")
    included = included_in(prune.include, model)
    layers = (*layers[:-1], *included, layers[-1])
    every = layers if prune.prune_output else layers[:-1]
    if not every:
        weights, _ = first_names([name for name, _ in model.unmasked])
        include = f"name what to prune, `prune: {{include: [{weights}]}}`, or " if weights else ""
        raise UnfitError(
            f"the model has no prunable layer besides its output layer: {include}set prune_output: true.",
            "prune_output",
        )
    prunable = _chosen(prune.only, every, layers)
    names = tuple(name for name, _ in prunable)
    sizes = [math.prod(shape) for _, shape in prunable]
    total = sum(sizes)
    rates = _rates(prune, names)
    parts = sizes if prune.scope == "layerwise" else [total]
    relative = _by_layer(prune.relative, names, "relative")
    layerwise = prune.scope == "layerwise"
    if prune.relative and prune.fractions is None:
        rates = {name: prune.rate_a_round * factor for name, factor in relative.items() if factor != 1}
    by_part = [rates.get(name, prune.rate_a_round) for name in names] if layerwise else [prune.rate_a_round]
    factors = [relative.get(name, 1.0) for name in names] if layerwise else [1.0]
    survivors, remaining = [total], list(parts)
    rules: list[Rule | None] = [None]
    for number in range(1, prune.last_round + 1):
        if prune.fractions is not None:
            fraction = prune.fractions[number - 1]
            remaining = [
                min(left, size - round(fraction * factor * size))
                for left, size, factor in zip(remaining, parts, factors, strict=True)
            ]
            own = {name: fraction * factor for name, factor in relative.items() if factor != 1}
            rules.append(ToFraction(fraction, prune.scope, own))
        else:
            remaining = [left - round(rate * left) for left, rate in zip(remaining, by_part, strict=True)]
            rules.append(ByRate(prune.rate_a_round, prune.scope, rates))
        survivors.append(sum(remaining))
        if not survivors[-1]:
            at = ("fractions", number - 1) if prune.fractions is not None else ("rounds",)
            raise UnfitError(f"round {number} leaves none of the {total:,} prunable weights.", *at)
    chosen = len(prunable) < len(every)
    return Rounds(names, total, tuple(survivors), tuple(rules), chosen, tuple(name for name, _ in included))


def _chosen(only: Sequence[str] | None, every: Layers, layers: Layers) -> Layers:
    """Those of the prunable layers (`every`) that are pruned; `layers`: of the whole model."""
    for index, pattern in enumerate(only or ()):
        if not any(names_layer(pattern, name) for name, _ in every):
            known = [name.removesuffix(".weight") for name, _ in every]
            unpruned = any(names_layer(pattern, name) for name, _ in layers)
            hint = " It is the output layer's: set prune_output: true." if unpruned else did_you_mean(pattern, known)
            raise UnfitError(f"there is no prunable layer {pattern!r}.{hint}", "only", index)
    return tuple((name, shape) for name, shape in every if only is None or any(names_layer(one, name) for one in only))


def _units(count: int, rounds: int, layers: Layers) -> Rounds:
    """`count` hidden units a round lose their weights in both layers."""
    shapes = [shape for _, shape in layers]
    if len(layers) != 2 or any(len(shape) not in (2, 3) for shape in shapes):
        raise UnfitError("units are pruned of a network with one hidden layer, such as perceptron-10.", "units")
    hidden, total = shapes[0][-2], sum(math.prod(shape) for shape in shapes)
    left = [hidden - count * number for number in range(rounds + 1)]
    if left[-1] < 1:
        raise UnfitError(f"round {rounds} leaves none of the {hidden} hidden units.", "rounds")
    survivors = tuple(total // hidden * units for units in left)
    return Rounds(tuple(name for name, _ in layers), total, survivors, (None, *[ByUnits(count)] * rounds))


def _rates(prune: Prune, names: Sequence[str]) -> dict[str, float]:
    """Rates by parameter name; those that say nothing new are left out."""
    found = _by_layer(prune.rates, names, "rates")
    return {name: rate for name, rate in found.items() if rate != prune.rate_a_round}


def _by_layer(given: Mapping[str, float], names: Sequence[str], key: str) -> dict[str, float]:
    """Patterns of layer names ("head", "fc*") to parameter names, in model order; of several, the last one counts."""
    found: dict[str, float] = {}
    for pattern, value in given.items():
        matched = [name for name in names if names_layer(pattern, name)]
        if not matched:
            known = [name.removesuffix(".weight") for name in names]
            raise UnfitError(f"there is no prunable layer {pattern!r}.{did_you_mean(pattern, known)}", key, pattern)
        found |= dict.fromkeys(matched, value)
    return {name: found[name] for name in names if name in found}
