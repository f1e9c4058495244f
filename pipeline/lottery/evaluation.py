"""Loss and accuracy on test images."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from math import prod

import torch
from torch import Tensor, nn

from pipeline.lottery.history import RunningMetrics
from pipeline.lottery.objective import CROSS_ENTROPY, Objective
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


def evaluate(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    precision: AbstractContextManager[object],
    device: torch.device,
    group: Group = ALONE,
    objective: Objective = CROSS_ENTROPY,
) -> tuple[float, float]:
    """Mean loss and accuracy over the `batches` (images float32 [B, C, H, W], labels int64 [B]) of all ranks.

    The model runs in evaluation mode, and each of its modules is then put back into the mode it was in. Nothing is
    waited for until the end.
    """
    metrics = RunningMetrics(device)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), precision:
            for images, labels in batches:
                outputs = model(images).float()
                metrics.add(objective.loss(outputs, labels), outputs, labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return metrics.mean(group)
