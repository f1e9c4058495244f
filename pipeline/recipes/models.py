"""Models by name: their options, and the shapes of their prunable layers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pipeline.recipes.errors import UnfitError
from pipeline.recipes.fields import by_name
from pipeline.recipes.model_base import BuiltIn, Headed, ImageShape, Layers
from pipeline.recipes.options import Always, Items, Positive, Range
from pipeline.recipes.resnets import Resnet18, Resnet20, Resnet50
from pipeline.recipes.users_model import UserModel


@dataclass(frozen=True, kw_only=True)
class Lenet(BuiltIn):
    """LeNet-h-h: fully connected, made for images of one size."""

    name: ClassVar[str] = "lenet"
    short: ClassVar[str | None] = "hidden"

    hidden: Annotated[tuple[Positive, ...], Items(1, 100), Always] = (300, 100)

    def layers(self, shape: ImageShape, classes: int) -> Layers:
        sizes = (math.prod(shape), *self.hidden)
        inner = tuple((f"fc{n}.weight", (sizes[n], sizes[n - 1])) for n in range(1, len(sizes)))
        return (*inner, ("head.weight", (classes, sizes[-1])))


@dataclass(frozen=True, kw_only=True)
class Perceptron(BuiltIn):
    """h hidden units and one sigmoid output, for two classes: `networks` independent ones, trained at once.

    Frankle & Carbin 2018, section 2: each has weights, a mask and a loss of its own, and counts as one trial.
    """

    name: ClassVar[str] = "perceptron"
    short: ClassVar[str | None] = "hidden"

    hidden: Annotated[Positive, Range(most=10_000), Always] = 10
    networks: Annotated[Positive, Range(most=1_000_000), Always] = 1000

    def layers(self, shape: ImageShape, classes: int) -> Layers:
        if classes != 2:
            raise UnfitError(f"a perceptron tells two classes apart; these are {classes}.", "dataset")
        return (
            ("hidden.weight", (self.networks, self.hidden, math.prod(shape))),
            ("head.weight", (self.networks, 1, self.hidden)),
        )


@dataclass(frozen=True, kw_only=True)
class Linear(BuiltIn):
    """The output layer alone: logistic regression on pixels."""

    name: ClassVar[str] = "linear"
    module: ClassVar[str | None] = "lenet"

    def layers(self, shape: ImageShape, classes: int) -> Layers:
        return (("head.weight", (classes, math.prod(shape))),)


@dataclass(frozen=True, kw_only=True)
class Cifarnet(BuiltIn):
    """Van Soelen & Sheppard 2019's network, for images of one size. `width`: channels of the convolutions."""

    name: ClassVar[str] = "cifarnet"
    short: ClassVar[str | None] = "width"
    channels: ClassVar[int | None] = 3

    width: Annotated[Positive, Range(most=10_000)] = 64

    @property
    def units(self) -> tuple[int, int]:
        """Of the two fully connected layers."""
        return 6 * self.width, 3 * self.width

    def layers(self, shape: ImageShape, classes: int) -> Layers:
        depth, height, width = shape
        if height % 4 or width % 4:
            raise UnfitError(
                f"cifarnet halves images twice, and {height}x{width} do not divide by 4: crop, as the paper does to "
                "28x28.",
                "dataset",
            )
        first, second = self.units
        return (
            ("conv1.weight", (self.width, depth, 5, 5)),
            ("conv2.weight", (self.width, self.width, 5, 5)),
            ("fc1.weight", (first, self.width * (height // 4) * (width // 4))),
            ("fc2.weight", (second, first)),
            ("head.weight", (classes, second)),
        )


@dataclass(frozen=True, kw_only=True)
class Convnet(Headed):
    """Three 3x3 convolutions of width, 2 width and 4 width with batch norm, globally pooled: images of any size."""

    name: ClassVar[str] = "convnet"

    width: Annotated[Positive, Range(most=100_000), Always] = 16

    @property
    def widths(self) -> tuple[int, int, int]:
        """Channels of the convolutions."""
        return self.width, 2 * self.width, 4 * self.width

    def layers(self, shape: ImageShape, classes: int) -> Layers:
        into = (shape[0], *self.widths)
        inner = tuple((f"conv{n}.weight", (out, into[n - 1], 3, 3)) for n, out in enumerate(self.widths, start=1))
        return (*inner, self.output("head", self.widths[-1], classes))


@dataclass(frozen=True, kw_only=True)
class Vgg19(Headed):
    """Morcos et al. 2019's VGG19, globally pooled: images of 16 pixels and more."""

    name: ClassVar[str] = "vgg19"
    module: ClassVar[str | None] = "vgg"
    blocks: ClassVar[tuple[tuple[int, int], ...]] = ((1, 2), (2, 2), (4, 4), (8, 4), (8, 4))
    """(channels in units of the width, convolutions) between two max pools; the fifth ends in the global average pool.
    """

    def layers(self, shape: ImageShape, classes: int) -> Layers:
        smallest = 2 ** (len(self.blocks) - 1)
        if min(shape[1:]) < smallest:
            raise UnfitError(
                f"images of {shape[1]}x{shape[2]} are too small for vgg19, which halves them "
                f"{len(self.blocks) - 1} times: resize to {smallest} or more.",
                "dataset",
            )
        found: list[tuple[str, tuple[int, ...]]] = []
        channels, place = shape[0], 0
        for units, convolutions in self.blocks:
            for _ in range(convolutions):
                found.append((f"features.{place}.weight", (units * self.width, channels, 3, 3)))
                channels, place = units * self.width, place + 3
            place += 1
        return (*found, self.output("classifier", channels, classes))


Model = BuiltIn | UserModel
MODELS: dict[str, type[BuiltIn]] = {
    model.name: model for model in (Lenet, Perceptron, Linear, Convnet, Cifarnet, Vgg19, Resnet50, Resnet18, Resnet20)
}


def model_from(fields: object) -> Model:
    """The model that a train stage's `model` describes. Raises UnfitError."""
    if isinstance(fields, Mapping) and fields.get("name") == UserModel.name:
        return UserModel.from_fields(fields)
    return by_name(MODELS, "model", fields, ", or `file.py:Class`")
