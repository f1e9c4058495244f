"""Batch norm over groups of a batch, as several data-parallel devices compute it."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Grouped:
    """Training normalizes each group of the batch by its own statistics; evaluation is ordinary batch norm.

    The paper's networks ran under DataParallel on two devices. It splits a batch as `torch.chunk` does and keeps the
    running statistics of the first device alone; so does this.
    """

    group: int

    def forward(self: Any, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)  # type: ignore[misc,no-any-return]
        first, *others = input.chunk(math.ceil(len(input) / self.group))
        normalized = [super().forward(first)]  # type: ignore[misc]
        normalized += [
            F.batch_norm(other, None, None, self.weight, self.bias, training=True, eps=self.eps) for other in others
        ]
        return torch.cat(normalized)


class GroupedBatchNorm1d(_Grouped, nn.BatchNorm1d):
    pass


class GroupedBatchNorm2d(_Grouped, nn.BatchNorm2d):
    pass


_GROUPED: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: GroupedBatchNorm1d,
    nn.BatchNorm2d: GroupedBatchNorm2d,
}


def group_batch_norm(model: nn.Module, norm_batch: int) -> None:
    """Let every batch norm of `model` normalize groups of at most `norm_batch` images in training.

    Parameters, buffers and their names stay as they are.
    """
    for module in model.modules():
        grouped = _GROUPED.get(type(module))
        if grouped is not None:
            module.__class__ = grouped
            module.group = norm_batch  # type: ignore[assignment]
