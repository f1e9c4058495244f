"""Pruning: the lowest scores of the remaining weights go (Frankle & Carbin 2018; Morcos et al. 2019, section 3)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pipeline.recipes.rules import ByRate, ToFraction

Layers = Mapping[str, Tensor]
"""Tensors of the layers that are pruned, by the name of the weight."""

Score = Callable[[Layers, Layers, Layers], Layers]
"""A criterion: (trained, initial, mask) by layer -> scores of the same shapes; the lowest are pruned first.

`trained`: the weights after training. `initial`: those that this training started from; no layers of a built-in
criterion that does not need them (`recipes.criteria.OF_WEIGHTS`). `mask`: bool, False where a weight is pruned already:
it is 0 in both then, and its score does not count."""


def magnitude(trained: Layers, initial: Layers, mask: Layers) -> Layers:
    """The score of a weight is its absolute value."""
    return {name: weight.abs() for name, weight in trained.items()}


CRITERIA: dict[str, Score] = {"magnitude": magnitude}
"""By their names in `recipes.criteria.OF_WEIGHTS`."""


def prune(
    weights: Layers,
    mask: Layers | None,
    rule: ByRate | ToFraction,
    score: Score = magnitude,
    initial: Layers | None = None,
) -> dict[str, Tensor]:
    """The next mask: True where a weight survives, by layer, in the order of `weights`, on the CPU.

    `weights`: the prunable tensors after training, in model order. `mask`: the mask they were trained with, None if
    dense; what it has pruned stays pruned and its scores never count. `initial`: what that training started from, for a
    `score` that needs it.
    Of equal scores, the weight that comes first (order of `weights`, then flattened index) is pruned first. A layer may
    end up empty. Ranking on the CPU makes the result the same whatever device trained.

    Raises ValueError for masks or scores that do not fit the weights, and a NaN among the scores.
    """
    alive = {name: _alive(name, weight, mask) for name, weight in weights.items()}
    if mask is not None and (unknown := sorted(set(mask) - set(weights))):
        raise ValueError(f"The mask covers {', '.join(unknown)}, of which no weights were given.")
    scores = _scores(score, weights, initial or {}, alive)
    if not scores:
        return {}
    if rule.scope == "global":
        joined = torch.cat(list(scores.values()))
        doomed = _lowest(joined, rule.pruned(len(joined), sum(mask.numel() for mask in alive.values())))
        parts = dict(zip(scores, torch.split(doomed, [len(score) for score in scores.values()]), strict=True))
    else:
        parts = {
            name: _lowest(score, rule.pruned(len(score), alive[name].numel(), name)) for name, score in scores.items()
        }
    return {name: _without(alive[name], parts[name]) for name in weights}


def _alive(name: str, weight: Tensor, mask: Layers | None) -> Tensor:
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


def _scores(score: Score, weights: Layers, initial: Layers, alive: Layers) -> dict[str, Tensor]:
    """Scores of the surviving weights by layer, flattened: [survivors of the layer]."""
    called = getattr(score, "__name__", "criterion")
    with torch.no_grad():
        given = score(
            _masked(weights, alive), _masked(initial, alive), {name: kept.clone() for name, kept in alive.items()}
        )
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


def _masked(weights: Layers, alive: Layers) -> Layers:
    """A copy, on the CPU."""
    return {name: weight.detach().cpu().masked_fill(~alive[name], 0) for name, weight in weights.items()}


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
