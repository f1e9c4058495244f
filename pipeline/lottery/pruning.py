"""Pruning: the lowest scores of the remaining weights go (Frankle & Carbin 2018; Morcos et al. 2019, section 3)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

Criterion = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
"""Trained weights by layer -> scores of the same shapes. The lowest scores are pruned first."""

SCOPES = ("global", "layerwise")


def magnitude(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The score of a weight is its absolute value."""
    return {name: weight.abs() for name, weight in weights.items()}


CRITERIA: dict[str, Criterion] = {"magnitude": magnitude}


def prune(
    weights: Mapping[str, Tensor],
    mask: Mapping[str, Tensor] | None,
    rule: Mapping[str, Any],
    criterion: Criterion = magnitude,
) -> dict[str, Tensor]:
    """The next mask: True where a weight survives, by layer, in the order of `weights`, on the CPU.

    `weights`: the prunable tensors after training, in model order. `mask`: the mask they were trained with, None if
    dense; what it has pruned stays pruned and its scores never count.
    `rule`: {"rate": r} prunes round(r * remaining) weights; {"fraction": f} prunes until round(f * all) are pruned, and
    nothing where that many already are. Rounding is Python's, as in torch.nn.utils.prune. "scope" says whether that is
    counted over all layers together ("global", the default) or within each ("layerwise"); "rates" {layer: r} overrides
    "rate" by layer, "fractions" {layer: f} "fraction". Of equal scores, the weight that comes first (order of
    `weights`, then flattened index) is pruned first. A layer may end up empty. Ranking on the CPU makes the result the
    same whatever device trained.

    Raises ValueError for an impossible rule, masks or scores that do not fit the weights, and a NaN among the scores.
    """
    scope, own = _check_rule(rule, weights)
    alive = {name: _alive(name, weight, mask) for name, weight in weights.items()}
    if mask is not None and (unknown := sorted(set(mask) - set(weights))):
        raise ValueError(f"The mask covers {', '.join(unknown)}, of which no weights were given.")
    scores = _scores(weights, alive, criterion)
    if not scores:
        return {}
    if scope == "global":
        joined = torch.cat(list(scores.values()))
        doomed = _lowest(joined, _count(rule, None, alive.values()))
        parts = dict(zip(scores, torch.split(doomed, [len(score) for score in scores.values()]), strict=True))
    else:
        parts = {name: _lowest(scores[name], _count(rule, own.get(name), [alive[name]])) for name in weights}
    return {name: _without(alive[name], parts[name]) for name in weights}


def _check_rule(rule: Mapping[str, Any], layers: Iterable[str]) -> tuple[str, Mapping[str, float]]:
    """The scope, and the rates or fractions of single layers."""
    scope, rates, fractions = rule.get("scope", "global"), rule.get("rates", {}), rule.get("fractions", {})
    own = rates or fractions
    if scope not in SCOPES:
        raise ValueError(f"Pruning scope {scope!r} is unknown: use one of {', '.join(SCOPES)}.")
    if ("rate" in rule or bool(rates)) == ("fraction" in rule):
        raise ValueError(f"A pruning rule has either a rate or a fraction, this one has {dict(rule)}.")
    if fractions and "fraction" not in rule:
        raise ValueError("Fractions of single layers need a fraction for the others.")
    if own and scope == "global":
        raise ValueError("Rates by layer need scope layerwise: a global rule compares the weights of all layers.")
    if unknown := sorted(set(own) - set(layers)):
        raise ValueError(f"Rates are given for {', '.join(unknown)}, not prunable here. Prunable: {', '.join(layers)}.")
    if "rate" not in rule and rates and (missing := [name for name in layers if name not in rates]):
        raise ValueError(f"No rate for {', '.join(missing)}: give each layer one, or a `rate` for the others.")
    named = {"rate": rule.get("rate", 0), "fraction": rule.get("fraction", 0), **own}
    for name, value in named.items():
        if not 0 <= value <= 1:
            raise ValueError(f"The pruning rule's {name} is {value}: it must lie between 0 and 1.")
    return scope, own


def _alive(name: str, weight: Tensor, mask: Mapping[str, Tensor] | None) -> Tensor:
    if mask is None:
        return torch.ones(weight.shape, dtype=torch.bool)
    if name not in mask:
        raise ValueError(f"The mask does not cover {name}. It covers: {', '.join(mask)}.")
    if mask[name].shape != weight.shape or mask[name].dtype != torch.bool:
        raise ValueError(
            f"The mask of {name} is {mask[name].dtype} {list(mask[name].shape)}: "
            f"it must be bool with the shape of the weights, {list(weight.shape)}."
        )
    return mask[name].cpu()


def _scores(weights: Mapping[str, Tensor], alive: Mapping[str, Tensor], criterion: Criterion) -> dict[str, Tensor]:
    """Scores of the surviving weights by layer, flattened: [survivors of the layer]."""
    called = getattr(criterion, "__name__", "criterion")
    with torch.no_grad():
        given = criterion({name: weight.detach() for name, weight in weights.items()})
    if not isinstance(given, Mapping):
        raise ValueError(
            f"The pruning criterion {called} must return a dict of scores by layer, not {type(given).__name__}."
        )
    scores = {}
    for name, weight in weights.items():
        if name not in given or given[name].shape != weight.shape:
            found = f"scores of shape {list(given[name].shape)}" if name in given else "no scores"
            raise ValueError(
                f"The pruning criterion {called} gave {found} for {name}, whose shape is {list(weight.shape)}."
            )
        scores[name] = given[name].detach().cpu()[alive[name]]
        if scores[name].isnan().any():
            raise ValueError(
                f"The pruning criterion {called} gave NaN for weights of {name}: NaN cannot be ranked. "
                "Did the training that is pruned diverge?"
            )
    return scores


def _count(rule: Mapping[str, Any], own: float | None, alive: Iterable[Tensor]) -> int:
    """How many of the survivors of these layers to prune; `own`: a single layer's rate or fraction."""
    masks = list(alive)
    remaining, total = sum(int(mask.sum()) for mask in masks), sum(mask.numel() for mask in masks)
    if "fraction" in rule:
        fraction: float = rule["fraction"] if own is None else own
        return max(0, remaining - (total - round(fraction * total)))
    portion: float = rule["rate"] if own is None else own
    return round(portion * remaining)


def _lowest(scores: Tensor, count: int) -> Tensor:
    """True at the `count` lowest of `scores` [n], the first of equals first; linear time instead of a stable sort."""
    if count == 0:
        return torch.zeros(len(scores), dtype=torch.bool)
    threshold = scores.kthvalue(count).values
    lowest = scores < threshold
    ties = (scores == threshold).nonzero().squeeze(1)
    lowest[ties[: count - int(lowest.sum())]] = True
    return lowest


def _without(alive: Tensor, doomed: Tensor) -> Tensor:
    """`alive` [layer's shape] without those of its True places that `doomed` [survivors, flattened order] marks."""
    kept = alive.clone()
    kept[alive] = ~doomed
    return kept
