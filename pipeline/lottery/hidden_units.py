"""Pruning of hidden units whole, in networks with one hidden layer (Frankle & Carbin 2018, section 2.1)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pipeline.recipes.criteria import OF_UNITS

UnitCriterion = Callable[[Tensor, Tensor], Tensor]
"""Weights into the units [..., h, inputs] and out of them [..., outputs, h] -> scores [..., h]; the lowest go first."""


def input_magnitude(incoming: Tensor, outgoing: Tensor) -> Tensor:
    """The average magnitude of a unit's input weights."""
    return incoming.abs().mean(-1)


def output_magnitude(incoming: Tensor, outgoing: Tensor) -> Tensor:
    """The magnitude of a unit's output weight; of several, their sum."""
    return outgoing.abs().sum(-2)


def magnitude_product(incoming: Tensor, outgoing: Tensor) -> Tensor:
    """The magnitude of a unit's output weight times the sum of those of its input weights."""
    return incoming.abs().sum(-1) * outgoing.abs().sum(-2)


UNIT_CRITERIA: dict[str, UnitCriterion] = dict(
    zip(OF_UNITS, (input_magnitude, output_magnitude, magnitude_product), strict=True)
)


@torch.no_grad()
def prune_units(
    weights: Mapping[str, Tensor], mask: Mapping[str, Tensor] | None, count: int, criterion: UnitCriterion
) -> dict[str, Tensor]:
    """The next mask: `count` more hidden units lose all their weights, in each network; by layer, bool, on the CPU.

    `weights`: two layers after training, [..., h, inputs] and [..., outputs, h]; the leading dimension is that of many
    networks. `mask`: of units that are whole or gone, None if all are there. Of equal scores, the unit that comes first
    goes first. Raises ValueError for other layers, too few units, or a NaN among the scores.
    """
    if len(weights) != 2:
        raise ValueError(f"Units are pruned between two layers; these are {len(weights)}: {', '.join(weights)}.")
    (first, incoming), (second, outgoing) = ((name, weight.detach().cpu()) for name, weight in weights.items())
    if incoming.ndim not in (2, 3) or incoming.shape[:-2] != outgoing.shape[:-2]:
        raise ValueError(f"Units are pruned between two fully connected layers, not {first} and {second}.")
    if incoming.shape[-2] != outgoing.shape[-1]:
        raise ValueError(f"{first} has {incoming.shape[-2]} units and {second} reads {outgoing.shape[-1]}.")
    alive = torch.ones(incoming.shape[:-1], dtype=torch.bool) if mask is None else mask[second].cpu().any(-2)
    if int(alive.sum(-1).min()) <= count:
        raise ValueError(f"{count} more units are to be pruned of {int(alive.sum(-1).min())}: none would be left.")
    scores = criterion(incoming, outgoing)
    if scores[alive].isnan().any():
        raise ValueError("A unit's score is NaN, which cannot be ranked. Did the training that is pruned diverge?")
    order = scores.masked_fill(~alive, torch.inf).sort(dim=-1, stable=True).indices
    left = alive.scatter(-1, order[..., :count], False)
    return {
        first: left.unsqueeze(-1).expand(incoming.shape).clone(),
        second: left.unsqueeze(-2).expand(outgoing.shape).clone(),
    }
