"""Loss and accuracy on test images."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.lottery.history import Tally
from pipeline.lottery.many_networks import cross_entropies
from pipeline.lottery.parallel import ALONE, Group

CPU_BATCH = 1024
"""At most so many images at once on a CPU, whose caches more would not use better."""

GPU_BYTES = 32 * 2**20
"""On a GPU, normalized images of so many bytes (2,730 of 3x32x32) keep all of it busy."""


def batch_size(training_batch: int, input_shape: Iterable[int], device: torch.device) -> int:
    """How many images of `input_shape` (C, H, W) a worker evaluates at once that trains on `training_batch` of them."""
    # Without gradients, four training batches need less memory than one with them.
    safe = 4 * training_batch
    if device.type == "cpu":
        return min(safe, CPU_BATCH)
    return max(safe, GPU_BYTES // (4 * prod(input_shape)))


def mean_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy [] of logits [B, classes], or of many networks' [networks, B, classes]; labels int64 [B]."""
    return F.cross_entropy(outputs, labels) if outputs.ndim == 2 else cross_entropies(outputs, labels).mean()


def evaluate(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    precision: AbstractContextManager[object],
    device: torch.device,
    group: Group = ALONE,
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy over the `batches` (images float32 [B, C, H, W], labels int64 [B]) of all ranks.

    The model runs in evaluation mode, and each of its modules is then put back into the mode it was in. Nothing is
    waited for until the end.
    """
    tally = Tally(device)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), precision:
            for images, labels in batches:
                outputs = model(images).float()
                tally.add(mean_loss(outputs, labels), outputs, labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return tally.mean(group)
