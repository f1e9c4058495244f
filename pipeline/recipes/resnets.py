"""Residual networks: torchvision's blocks, at any width."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pipeline.recipes.model_base import Headed, ImageShape, Layers
from pipeline.recipes.options import Positive, Range


@dataclass(frozen=True, kw_only=True)
class Resnet(Headed):
    """torchvision's blocks behind a stem of one convolution."""

    module: ClassVar[str | None] = "resnet"
    stages: ClassVar[tuple[tuple[int, int], ...]]
    """(channels of a block's 3x3 convolutions in units of the width, blocks)."""
    stem: ClassVar[int] = 3
    """Side of the first convolution."""

    def block(self, channels: int, planes: int) -> list[tuple[int, ...]]:
        """Shapes of the convolutions of a block."""
        return [(planes, channels, 3, 3), (planes, planes, 3, 3)]

    def layers(self, shape: ImageShape, classes: int) -> Layers:
        found: list[tuple[str, tuple[int, ...]]] = [("conv1.weight", (self.width, shape[0], self.stem, self.stem))]
        channels = self.width
        for number, (units, blocks) in enumerate(self.stages, start=1):
            for place in range(blocks):
                prefix, shapes = f"layer{number}.{place}", self.block(channels, units * self.width)
                found += [(f"{prefix}.conv{n}.weight", of_layer) for n, of_layer in enumerate(shapes, start=1)]
                out = shapes[-1][0]
                if place == 0 and (number > 1 or out != channels):
                    found.append((f"{prefix}.downsample.0.weight", (out, channels, 1, 1)))
                channels = out
        return (*found, self.output("fc", channels, classes))


@dataclass(frozen=True, kw_only=True)
class Resnet50(Resnet):
    """Bottlenecks, and He et al. 2015's stem for images of any size."""

    name: ClassVar[str] = "resnet50"
    stages: ClassVar[tuple[tuple[int, int], ...]] = ((1, 3), (2, 4), (4, 6), (8, 3))
    stem: ClassVar[int] = 7

    def block(self, channels: int, planes: int) -> list[tuple[int, ...]]:
        return [(planes, channels, 1, 1), (planes, planes, 3, 3), (4 * planes, planes, 1, 1)]


@dataclass(frozen=True, kw_only=True)
class Resnet18(Resnet):
    """Pairs of 3x3 convolutions on images of some 32 pixels: the one of 11 million weights in Mehta 2019, Table 1."""

    name: ClassVar[str] = "resnet18"
    stages: ClassVar[tuple[tuple[int, int], ...]] = ((1, 2), (2, 2), (4, 2), (8, 2))


@dataclass(frozen=True, kw_only=True)
class Resnet20(Resnet):
    """16, 32 and 64 channels, three blocks each (He et al. 2015 for CIFAR-10): the layers that Table 1 lists."""

    name: ClassVar[str] = "resnet20"
    stages: ClassVar[tuple[tuple[int, int], ...]] = ((1, 3), (2, 3), (4, 3))

    width: Annotated[Positive, Range(most=10_000)] = 16
