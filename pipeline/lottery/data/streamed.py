"""Images that stay where they are and are read when a batch needs them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.lottery.data.geometry import Geometry
from pipeline.lottery.data.source import ImageSource, Like


@dataclass(frozen=True, eq=False)
class Streamed:
    """The images `indices` of a source. To what asks for length, shape, bytes or a slice, it is like a tensor."""

    source: ImageSource
    indices: Tensor  # int64 [N]
    geometry: Geometry
    like: Like
    """What all images are like: the first of them."""
    decoders: int = 1
    """Processes that read and decode."""

    @property
    def shape(self) -> torch.Size:
        """[N, C, H, W]"""
        return torch.Size((len(self.indices), *self.like.shape))

    @property
    def nbytes(self) -> int:
        """Bytes that it holds in memory, those of its source among them."""
        return self.indices.nbytes + self.source.nbytes

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, part: slice) -> "Streamed":
        return replace(self, indices=self.indices[part])

    def shared(self) -> "Streamed":
        """The same, with a source that many processes read from."""
        return replace(self, source=self.source.shared())

    def read(self, positions: list[int]) -> Tensor:
        """uint8 [n, C, H, W]. Raises DataError."""
        return self.source.read(self.indices[positions].tolist(), self.geometry, self.like)


Pixels = Tensor | Streamed
"""uint8 [N, C, H, W], in memory or not."""


def streamed(source: ImageSource, indices: Tensor, geometry: Geometry, decoders: int) -> Streamed:
    """Reads one image, whose shape all others must have. Raises DataError."""
    first = int(indices[0])
    _, channels, height, width = source.read([first], geometry).shape
    return Streamed(source, indices, geometry, Like(source.where(first), (channels, height, width)), decoders)
