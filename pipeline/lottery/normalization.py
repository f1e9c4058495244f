"""Pixels to what a model reads: (x / 255 - mean) / std, one channel at a time."""

import torch
from torch import Tensor


class Normalization:
    """Statistics of the training data, folded into one subtraction and one multiplication."""

    def __init__(self, mean: Tensor, std: Tensor, device: torch.device, channels_last: bool = False) -> None:
        """`mean` and `std` are [C], of pixels scaled to [0, 1]."""
        self._offset = (255 * mean.to(torch.float64)).view(-1, 1, 1).to(device, torch.float32)
        self._scale = (1 / (255 * std.to(torch.float64))).view(-1, 1, 1).to(device, torch.float32)
        self._format = torch.channels_last if channels_last else torch.contiguous_format

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [B, C, H, W] -> float32 [B, C, H, W]."""
        return torch.sub(images, self._offset).mul_(self._scale).contiguous(memory_format=self._format)
