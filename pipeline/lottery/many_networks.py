"""Many independent networks as one batched tensor program: their layers, their loss, and what became of each."""

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MARGIN_DIGITS = 6


class ManyLinear(nn.Module):
    """A linear layer of each of `networks` networks: [networks, B, inputs] -> [networks, B, outputs]."""

    def __init__(self, networks: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(networks, outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(networks, outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(1), inputs, self.weight.mT)


class ForEach(nn.Module):
    """The same images for every network: [B, C, H, W] -> [networks, B, C * H * W]."""

    def __init__(self, networks: int) -> None:
        super().__init__()
        self._networks = networks

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return flat.expand(self._networks, *flat.shape)


class AgainstZero(nn.Module):
    """The logit z of a sigmoid as the logits (0, z) of two classes, whose softmax is the same: [..., 1] -> [..., 2]."""

    def forward(self, logit: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(logit), logit], dim=-1)


def is_many(model: nn.Module) -> bool:
    """Whether it is many networks at once."""
    return any(isinstance(module, ManyLinear) for module in model.modules())


def cross_entropies(outputs: Tensor, labels: Tensor) -> Tensor:
    """Of each network on each image: logits [networks, B, classes] and labels int64 [B] -> [networks, B], in nats."""
    every = labels.expand(outputs.shape[:-1])
    return F.cross_entropy(outputs.flatten(0, 1), every.flatten(), reduction="none").view(every.shape)


@torch.no_grad()
def of_each(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, list[Any]]:
    """What became of each network, in evaluation mode.

    `test_loss` in nats (None where it is not finite), `test_accuracy` in [0, 1], and `test_margin` in [-1, 1]: of the
    image that it does worst at, the probability of the label minus the greatest of another class; negative where the
    image is on the wrong side of the decision boundary.
    """
    training = model.training
    model.eval()
    losses, margins = [], []
    for images, labels in batches:
        outputs = model(images).float()
        losses.append(cross_entropies(outputs, labels))
        margins.append(_margins(outputs, labels))
    model.train(training)
    loss, margin = torch.cat(losses, dim=1).mean(1), torch.cat(margins, dim=1)
    return {
        "test_loss": [value if math.isfinite(value) else None for value in loss.tolist()],
        "test_accuracy": (margin > 0).double().mean(1).tolist(),
        "test_margin": [round(value, MARGIN_DIGITS) for value in margin.amin(1).tolist()],
    }


def _margins(outputs: Tensor, labels: Tensor) -> Tensor:
    """[networks, B, classes], int64 [B] -> [networks, B]; NaN counts as entirely wrong."""
    probability = outputs.softmax(-1)
    place = labels.expand(outputs.shape[:-1]).unsqueeze(-1)
    own = probability.gather(-1, place).squeeze(-1)
    return (own - probability.scatter(-1, place, -1.0).amax(-1)).nan_to_num(nan=-1.0)
