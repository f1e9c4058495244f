"""What a training run is given: all images of a data set as uint8 tensors, with statistics for normalization."""

from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST_STD = 1 / 255
"""One grey level: a channel that never varies is shifted, not divided by zero."""


class DataError(ValueError):
    """Images are missing, damaged, or not what the data fields say."""


@dataclass(frozen=True, eq=False)
class Images:
    """Training and test images with labels 0..classes-1. `mean` and `std` are of pixels / 255, per channel."""

    train_x: Tensor  # uint8 [N, C, H, W]
    train_y: Tensor  # int64 [N]
    test_x: Tensor  # uint8 [M, C, H, W]
    test_y: Tensor  # int64 [M]
    mean: Tensor  # float32 [C]
    std: Tensor  # float32 [C]
    classes: int

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels and labels."""
        return sum(t.nbytes for t in (self.train_x, self.train_y, self.test_x, self.test_y))


def statistics(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (population) standard deviation of each channel of uint8 [N, C, H, W] pixels / 255, as float32 [C].

    From exact counts of the 256 values, in float64: no rounding that depends on the order of a sum.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in pixels.unbind(1)])  # [C, 256]
    share = counts.double() / counts.sum(1, keepdim=True)
    mean = share @ values
    variance = (share * (values - mean[:, None]) ** 2).sum(1)
    return mean.float(), variance.sqrt().clamp_min(SMALLEST_STD).float()
