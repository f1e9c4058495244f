"""How many weights survive each round, and the pruning rules: known from layer shapes, before anything is trained."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pipeline.experiment.models import Layers
from pipeline.experiment.spec_pruning import Prune
from pipeline.experiment.suggestions import did_you_mean
from pipeline.experiment.user_files import UnfitError


@dataclass(frozen=True)
class Schedule:
    """Index is the round; round 0 is the dense network."""

    layers: tuple[str, ...]
    """Prunable parameters in model order."""
    total: int
    survivors: tuple[int, ...]
    """Over all layers."""
    rules: tuple[dict[str, Any], ...]
    """What makes the mask of a round, as the stage's fields have it; empty for round 0."""


def schedule(prune: Prune, layers: Layers) -> Schedule:
    """The rounds of `prune` on a model's `layers` (output layer last).

    A rate prunes round(rate * remaining), a fraction leaves n - round(fraction * n), globally or in each layer;
    Python's round, half to even, as torch.nn.utils.prune. Raises UnfitError if nothing is left,
    or a rate is for no layer.
    """
    prunable = layers if prune.prune_output else layers[:-1]
    if not prunable:
        raise UnfitError(
            "the model has no prunable layer besides its output layer: set prune_output: true.", "prune_output"
        )
    names = tuple(name for name, _ in prunable)
    sizes = [math.prod(shape) for _, shape in prunable]
    total = sum(sizes)
    rates = _rates(prune, names)
    parts = sizes if prune.scope == "layerwise" else [total]
    by_part = (
        [rates.get(name, prune.rate_a_round) for name in names] if prune.scope == "layerwise" else [prune.rate_a_round]
    )
    survivors, remaining = [total], list(parts)
    rules: list[dict[str, Any]] = [{}]
    for number in range(1, prune.last_round + 1):
        if prune.fractions is not None:
            fraction = prune.fractions[number - 1]
            remaining = [min(left, size - round(fraction * size)) for left, size in zip(remaining, parts, strict=True)]
            rules.append({"fraction": fraction, "scope": prune.scope})
        else:
            remaining = [left - round(rate * left) for left, rate in zip(remaining, by_part, strict=True)]
            rule: dict[str, Any] = {"rate": prune.rate_a_round, "scope": prune.scope}
            rules.append(rule | ({"rates": rates} if rates else {}))
        survivors.append(sum(remaining))
        if not survivors[-1]:
            at = ("fractions", number - 1) if prune.fractions is not None else ("rounds",)
            raise UnfitError(f"round {number} leaves none of the {total:,} prunable weights.", *at)
    return Schedule(names, total, tuple(survivors), tuple(rules))


def _rates(prune: Prune, names: Sequence[str]) -> dict[str, float]:
    """Patterns of layer names ("head", "fc*") to parameter names; rates that say nothing new are left out."""
    found: dict[str, float] = {}
    for pattern, rate in prune.rates.items():
        matched = [
            name for name in names if fnmatchcase(name, pattern) or fnmatchcase(name.removesuffix(".weight"), pattern)
        ]
        if not matched:
            known = [name.removesuffix(".weight") for name in names]
            raise UnfitError(f"there is no prunable layer {pattern!r}.{did_you_mean(pattern, known)}", "rates", pattern)
        found |= dict.fromkeys(matched, rate)
    return {name: found[name] for name in names if name in found and found[name] != prune.rate_a_round}
