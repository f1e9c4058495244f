"""Where images come from: read by their index in a part of a data set, whatever they are stored as."""

import io
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from PIL import Image
from torch import Tensor

from pipeline.lottery.data.geometry import Geometry

Shape = tuple[int, int, int]
"""Channels, height, width."""


class Like(NamedTuple):
    """The image that others must be alike: where it is, for messages, and its shape."""

    where: str
    shape: Shape


class Encoded(NamedTuple):
    """An image as it is written to a file."""

    data: bytes
    name: str
    """The name of its file, as far as it has one."""


class ImageSource(Protocol):
    """The images of a part. Processes that decode hold copies of it: it can be pickled, and is small or shared."""

    def read(self, indices: Sequence[int], geometry: Geometry, like: Like | None = None) -> Tensor:
        """uint8 [n, C, H, W] with the geometry applied, all of the shape `like` has. Raises DataError."""

    def where(self, index: int) -> str:
        """The place of one image, for messages."""

    def encoded(self, indices: Sequence[int]) -> Sequence[Encoded]:
        """The images as they are stored, or as PNG where they are stored as plain numbers."""

    def encoded_bytes(self, indices: Sequence[int]) -> int:
        """About how long these are together as `encoded` gives them."""

    def shared(self) -> "ImageSource":
        """The same images, quick to read one at a time from many processes. May write below the cache folder."""

    @property
    def nbytes(self) -> int:
        """Bytes that it holds in memory, whatever part of its images is used."""


class Arrays:
    """Images in memory: uint8 [N, C, H, W]."""

    def __init__(self, pixels: Tensor, where: str) -> None:
        self._pixels = pixels
        self._where = where

    def read(self, indices: Sequence[int], geometry: Geometry, like: Like | None = None) -> Tensor:
        return geometry(self._pixels[torch.as_tensor(indices)])

    def where(self, index: int) -> str:
        return f"{self._where}, image {index}"

    def encoded(self, indices: Sequence[int]) -> list[Encoded]:
        return [png(self._pixels[index], f"{index}.png") for index in indices]

    def encoded_bytes(self, indices: Sequence[int]) -> int:
        return len(indices) * self._pixels[0].nbytes

    def shared(self) -> "Arrays":
        return self

    @property
    def nbytes(self) -> int:
        return self._pixels.nbytes


def png(pixels: Tensor, name: str) -> Encoded:
    """A uint8 [C, H, W] image of one or three channels, losslessly."""
    channels = pixels.permute(1, 2, 0).squeeze(2).contiguous().numpy()
    stream = io.BytesIO()
    Image.fromarray(channels).save(stream, "PNG")
    return Encoded(stream.getvalue(), name)
