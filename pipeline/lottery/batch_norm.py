"""Batch norm over groups of a batch, as several data-parallel devices compute it."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Grouped:
    """Training normalizes each group of the batch by its own statistics; evaluation is ordinary batch norm.

    Every batch has as many groups as there were devices, the last and smaller one of an epoch, too: its images are
    spread over them as evenly as can be. So does DataParallel on two devices (`torch.chunk`), and so do the samplers of
    distributed training on more. Running statistics are those of the first group alone, as there.
    """

    groups: int

    def forward(self: Any, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)  # type: ignore[misc,no-any-return]  # of the batch norm beside this class
        first, *others = input.tensor_split(self.groups)
        normalized = [super().forward(first)]  # type: ignore[misc]  # as above
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


def has_batch_norm(model: nn.Module) -> bool:
    """Whether there is any that `group_batch_norm` changes."""
    return any(type(module) in _GROUPED for module in model.modules())


def group_batch_norm(model: nn.Module, groups: int) -> None:
    """Let every batch norm of `model` normalize each of so many equal groups of a batch by itself in training.

    Parameters, buffers and their names stay as they are. A batch needs two images for each group.
    """
    for module in model.modules():
        grouped = _GROUPED.get(type(module))
        if grouped is not None:
            module.__class__ = grouped
            module.groups = groups  # type: ignore[assignment]  # of the class that it has now
