"""Many independent networks as one batched tensor program: their layers, their loss, and what became of each."""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.lottery.objective import EachNetwork, Objective

MARGIN_DIGITS = 6


class ManyNetworks(Objective):
    """The mean of the losses of `networks` networks; each follows the gradient of its own, as if it were alone.

    Of networks that diverge nothing more is said (their losses are None in the summary), and the others go on.
    """

    ends_diverged = False
    many = True

    def __init__(self, networks: int) -> None:
        self._networks = networks

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        return cross_entropies(scores, labels).mean()

    def descended(self, loss: Tensor) -> Tensor:
        return loss * self._networks

    def of_each(self, model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> EachNetwork:
        return of_each(model, batches)


class ManyLinear(nn.Linear):
    """A linear layer of each of `networks` networks: [networks, B, inputs] -> [networks, B, outputs]."""

    def __init__(self, networks: int, inputs: int, outputs: int) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = inputs, outputs
        self.objective = ManyNetworks(networks)
        self.weight = nn.Parameter(torch.empty(networks, outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(networks, outputs))

    def forward(self, input: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(1), input, self.weight.mT)


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


def cross_entropies(outputs: Tensor, labels: Tensor) -> Tensor:
    """Of each network on each image: logits [networks, B, classes] and labels int64 [B] -> [networks, B], in nats."""
    every = labels.expand(outputs.shape[:-1])
    return F.cross_entropy(outputs.flatten(0, 1), every.flatten(), reduction="none").view(every.shape)


@torch.no_grad()
def of_each(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> EachNetwork:
    """What became of each network, in evaluation mode."""
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
