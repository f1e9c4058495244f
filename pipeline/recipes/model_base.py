"""What models have in common: how they are initialized, and their heads."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.recipes.errors import UnfitError, made

ImageShape = tuple[int, int, int]
"""(channels, height, width) of the images a model sees."""
Layers = tuple[tuple[str, tuple[int, ...]], ...]
"""(parameter name, shape) of every prunable weight in model order; the last one is the output layer's."""


@dataclass(frozen=True)
class XavierNormal:
    """Weights from N(0, 2 / (inputs + outputs)), biases 0 (Glorot & Bengio 2010)."""

    name: ClassVar[str] = "xavier-normal"


@dataclass(frozen=True)
class TruncatedNormal:
    """Weights from N(0, std^2), those beyond two standard deviations drawn again, biases 0 (Frankle & Carbin 2018)."""

    name: ClassVar[str] = "truncated-normal"

    std: float = 0.1


Initialization = XavierNormal | TruncatedNormal


def initialization_from(fields: dict[str, Any]) -> Initialization:
    """Raises UnfitError."""
    options = dict(fields)
    name = options.pop("name", None)
    if name == XavierNormal.name:
        return made(XavierNormal, options, "An initialization")
    if name == TruncatedNormal.name:
        return made(TruncatedNormal, options, "An initialization")
    raise UnfitError(f"Unknown initialization {name!r}: use {XavierNormal.name} or {TruncatedNormal.name}.")


@dataclass(frozen=True, kw_only=True)
class BuiltIn:
    """A model of this project's, initialized as `initialization` says."""

    initialization: Initialization = XavierNormal()

    name: ClassVar[str]
    channels: ClassVar[int | None] = None
    """Of its images; None: any number. Grey images are repeated, so that every source's ticket fits every target."""
    batch_norm: ClassVar[bool] = False

    def sizes(self) -> dict[str, Any]:
        """What is in the key of the model's own options."""
        raise NotImplementedError

    def features(self) -> dict[str, Any]:
        """The fields that name it in random streams: not how it is initialized, nor its head."""
        return {"name": self.name, **self.sizes()}

    def fields(self) -> dict[str, Any]:
        """The name, the options, and the initialization where it is not the default."""
        if isinstance(self.initialization, XavierNormal):
            return self.features()
        return self.features() | {"initialization": {"name": self.initialization.name, "std": self.initialization.std}}

    def layers(self, shape: ImageShape, classes: int) -> Layers:
        """Raises UnfitError for images that the model is not made for."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Headed(BuiltIn):
    """Features of some width that are globally pooled, and a head: the output layer, with hidden layers before it.

    A ticket is of the features: it fits every head.
    """

    width: int = 64
    """Of the first layer."""
    head: tuple[int, ...] = ()
    """Sizes of the hidden layers."""

    channels: ClassVar[int | None] = 3
    batch_norm: ClassVar[bool] = True

    def sizes(self) -> dict[str, Any]:
        return {"width": self.width} if self.width != type(self).width else {}

    def fields(self) -> dict[str, Any]:
        return super().fields() | ({"head": list(self.head)} if self.head else {})

    def output(self, name: str, inputs: int, classes: int) -> tuple[str, tuple[int, ...]]:
        """The output layer, its head being called `name`."""
        if not self.head:
            return f"{name}.weight", (classes, inputs)
        return f"{name}.{2 * len(self.head)}.weight", (classes, self.head[-1])
