"""What models have in common: how they are initialized, and their heads."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pipeline.recipes.fields import Fields, Keyed, by_name
from pipeline.recipes.options import Always, Items, Positive, Range, ReadBy

ImageShape = tuple[int, int, int]
"""(channels, height, width) of the images a model sees."""
Layers = tuple[tuple[str, tuple[int, ...]], ...]
"""(parameter name, shape) of every prunable weight in model order; the last one is the output layer's."""


@dataclass(frozen=True)
class Initialization(Keyed):
    name: ClassVar[str]


@dataclass(frozen=True)
class XavierNormal(Initialization):
    """Weights from N(0, 2 / (inputs + outputs)), biases 0 (Glorot & Bengio 2010)."""

    name: ClassVar[str] = "xavier-normal"


@dataclass(frozen=True)
class TruncatedNormal(Initialization):
    """Weights from N(0, std^2), those beyond two standard deviations drawn again, biases 0 (Frankle & Carbin 2018)."""

    name: ClassVar[str] = "truncated-normal"

    std: Annotated[float, Range(above=0), Always] = 0.1


INITIALIZATIONS: dict[str, type[Initialization]] = {kind.name: kind for kind in (XavierNormal, TruncatedNormal)}


def initialization_from(fields: object) -> Initialization:
    """Raises UnfitError."""
    return by_name(INITIALIZATIONS, "initialization", fields)


@dataclass(frozen=True, kw_only=True)
class BuiltIn(Keyed):
    """A model of this project's, initialized as `initialization` says."""

    initialization: Annotated[Initialization, ReadBy(initialization_from)] = XavierNormal()

    name: ClassVar[str]
    module: ClassVar[str | None] = None
    """Where the network is built, in `lottery.models`, by a function with the model's name; None: is called so, too."""
    short: ClassVar[str | None] = None
    """The option that may be written behind the name: vgg19-8."""
    channels: ClassVar[int | None] = None
    """Of its images; None: any number. Grey images are repeated, so that every source's ticket fits every target."""
    batch_norm: ClassVar[bool] = False

    def features(self) -> Fields:
        """The fields that name it in random streams: not how it is initialized, nor its head."""
        return {key: value for key, value in self.fields().items() if key not in ("initialization", "head")}

    def layers(self, shape: ImageShape, classes: int) -> Layers:
        """Raises UnfitError for images that the model is not made for."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Headed(BuiltIn):
    """Features of some width that are globally pooled, and a head: the output layer, with hidden layers before it.

    A ticket is of the features: it fits every head.
    """

    width: Annotated[Positive, Range(most=10_000)] = 64
    """Of the first layer."""
    head: Annotated[tuple[Positive, ...], Items(most=100)] = ()
    """Sizes of the hidden layers."""

    short: ClassVar[str | None] = "width"
    channels: ClassVar[int | None] = 3
    batch_norm: ClassVar[bool] = True

    def output(self, name: str, inputs: int, classes: int) -> tuple[str, tuple[int, ...]]:
        """The output layer, its head being called `name`."""
        if not self.head:
            return f"{name}.weight", (classes, inputs)
        return f"{name}.{2 * len(self.head)}.weight", (classes, self.head[-1])
