"""Resize, then centre crop, then channels: the size that the model sees, made once when the data is loaded."""

from dataclasses import dataclass

from torch import Tensor

from pipeline.lottery.data.errors import DataError
from pipeline.recipes.datasets import DataSet


@dataclass(frozen=True)
class Geometry:
    """`resize`: shorter side in pixels, aspect kept. `crop`: side of the centred square. `channels`: grey repeated."""

    resize: int | None = None
    crop: int | None = None
    channels: int | None = None
    upright: bool = True
    """Whether a picture that says that it lies on its side is turned, before anything else."""

    @classmethod
    def of(cls, data: DataSet) -> "Geometry":
        return cls(data.resize, data.crop, data.channels)

    def __call__(self, pixels: Tensor) -> Tensor:
        """uint8 [..., C, H, W] -> contiguous uint8 [..., C', H', W']. Raises DataError for what does not fit."""
        if self.resize is not None:
            pixels = _resized(pixels, self.resize)
        if self.crop is not None:
            pixels = _cropped(pixels, self.crop)
        return repeated(pixels, self.channels or pixels.shape[-3]).contiguous()


def _resized(pixels: Tensor, side: int) -> Tensor:
    if min(pixels.shape[-2:]) == side:
        return pixels
    # Imported here: torchvision takes a second, and most trainings see images in their native size.
    from torchvision.transforms.v2 import functional

    resized: Tensor = functional.resize(pixels, [side], antialias=True)
    return resized


def _cropped(pixels: Tensor, side: int) -> Tensor:
    height, width = pixels.shape[-2:]
    if side > min(height, width):
        raise DataError(
            f"crop: {side} does not fit into an image of {height}x{width}. Resize to {side} or more, or crop less."
        )
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[..., top : top + side, left : left + side]


def repeated(pixels: Tensor, channels: int) -> Tensor:
    """Each grey value `channels` times. A reshape of the same numbers would mix neighbouring pixels into colours."""
    if pixels.shape[-3] == channels:
        return pixels
    if pixels.shape[-3] != 1:
        raise DataError(
            f"channels: {channels} is asked of images with {pixels.shape[-3]} channels; only grey ones can be repeated."
        )
    return pixels.expand(*pixels.shape[:-3], channels, *pixels.shape[-2:])
