"""What models have in common: how they are initialized, and their heads."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from pipeline.experiment.spec_base import Number, Positive, Strict

Input = tuple[int, int, int]
"""(channels, height, width) of the images a model sees."""
Layers = tuple[tuple[str, tuple[int, ...]], ...]
"""(parameter name, shape) of every prunable weight in model order; the last one is the output layer's."""


@dataclass(frozen=True, slots=True)
class Described:
    """A model on images of one shape with so many classes."""

    layers: Layers
    fields: dict[str, Any]
    """What is in the key."""
    unmasked: Layers = ()
    """Other parameters of two or more dimensions: masks cover those that `prune.include` names."""
    prunes_output: bool = True
    """Whether a mask can cover the output layer."""
    batch_norm: bool = False
    """Whether it has batch norm that is computed over groups where the training says so."""
    name: str = "the model"
    notes: tuple[str, ...] = ()
    unreached: frozenset[str] = frozenset()
    """Parameters that no gradient of the class scores leads to."""


class XavierNormal(Strict):
    """Weights from N(0, 2 / (inputs + outputs)), biases 0 (Glorot & Bengio 2010)."""

    name: Literal["xavier-normal"] = "xavier-normal"


class TruncatedNormal(Strict):
    """Weights from N(0, std^2), those beyond two standard deviations drawn again, biases 0 (Frankle & Carbin 2018)."""

    name: Literal["truncated-normal"] = "truncated-normal"
    std: Annotated[Number, Field(gt=0)] = 0.1


def _named(raw: Any) -> Any:
    return {"name": raw} if isinstance(raw, str) else raw


Initialization = Annotated[XavierNormal | TruncatedNormal, Field(discriminator="name"), BeforeValidator(_named)]


class BuiltIn(Strict):
    """A model of this project's, initialized as `initialization` says."""

    initialization: Initialization = XavierNormal()

    batch_norm: ClassVar[bool] = False

    def sizes(self) -> dict[str, Any]:
        """What is in the key of the model's own options."""
        raise NotImplementedError

    def fields(self) -> dict[str, Any]:
        """What is in the key: the name, the options, and the initialization where it is not the default."""
        own = {"name": self.name, **self.sizes()}  # type: ignore[attr-defined]
        if self.initialization == XavierNormal():
            return own
        return own | {"initialization": self.initialization.model_dump()}

    def layers(self, shape: Input, classes: int) -> Layers:
        """Raises UnfitError for images that the model is not made for."""
        raise NotImplementedError

    def described(self, shape: Input, classes: int) -> Described:
        """Raises as `layers`."""
        return Described(self.layers(shape, classes), self.fields(), batch_norm=self.batch_norm)

    def location(self) -> str | None:
        return None


class Headed(BuiltIn):
    """Features that are globally pooled, and a head: the output layer, with `head` sizes of hidden layers before it.

    A ticket is of the features: it fits every head.
    """

    head: Annotated[tuple[Positive, ...], Field(max_length=100)] = ()

    batch_norm: ClassVar[bool] = True

    def fields(self) -> dict[str, Any]:
        return super().fields() | ({"head": list(self.head)} if self.head else {})

    def output(self, name: str, inputs: int, classes: int) -> tuple[str, tuple[int, ...]]:
        """The output layer, its head being called `name`."""
        if not self.head:
            return f"{name}.weight", (classes, inputs)
        return f"{name}.{2 * len(self.head)}.weight", (classes, self.head[-1])
