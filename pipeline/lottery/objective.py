"""What a training descends, and what it says of itself at the end: cross-entropy, unless the model brings its own."""

from collections.abc import Iterable
from typing import TypedDict

import torch.nn.functional as F
from torch import Tensor, nn


class EachNetwork(TypedDict):
    """What became of each of many networks, in their order."""

    test_loss: list[float | None]
    """In nats; None where it is not finite."""
    test_accuracy: list[float]
    test_margin: list[float]
    """In [-1, 1]: of the image that it does worst at, the probability of the label minus the greatest of another class;
    negative where the image is on the wrong side of the decision boundary."""


class Objective:
    """Cross-entropy of one network. A module whose attribute `objective` is another has its model trained on that."""

    ends_diverged = True
    """Whether a loss that is not finite ends the training."""
    many = False
    """Whether scores are [networks, B, classes] instead of [B, classes]."""

    def loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of a batch [], in nats, for records and for `descended`; labels int64 [B]."""
        return F.cross_entropy(scores, labels)

    def descended(self, loss: Tensor) -> Tensor:
        """What gradients are of, given the mean `loss` [], or a worker's part of it."""
        return loss

    def of_each(self, model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> EachNetwork | None:
        """What the summary says of each network by itself on test `batches` (images, labels); None of one network."""
        return None


CROSS_ENTROPY = Objective()


def objective_of(model: nn.Module) -> Objective:
    """That of the first module that has one of its own, else cross-entropy."""
    own = (getattr(module, "objective", None) for module in model.modules())
    return next((objective for objective in own if isinstance(objective, Objective)), CROSS_ENTROPY)
