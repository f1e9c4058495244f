"""What models have in common: how they are initialized, and their heads."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from pipeline.experiment.spec_base import Number, Positive, Strict
from pipeline.recipes import model_base
from pipeline.recipes.model_base import ImageShape, Layers
from pipeline.recipes.models import Model


@dataclass(frozen=True, slots=True)
class Described:
    """A model on images of one shape with so many classes."""

    layers: Layers
    recipe: Model
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

    def recipe(self) -> model_base.Initialization:
        return model_base.XavierNormal()


class TruncatedNormal(Strict):
    """Weights from N(0, std^2), those beyond two standard deviations drawn again, biases 0 (Frankle & Carbin 2018)."""

    name: Literal["truncated-normal"] = "truncated-normal"
    std: Annotated[Number, Field(gt=0)] = model_base.TruncatedNormal.std

    def recipe(self) -> model_base.Initialization:
        return model_base.TruncatedNormal(self.std)


def _named(raw: Any) -> Any:
    return {"name": raw} if isinstance(raw, str) else raw


Initialization = Annotated[XavierNormal | TruncatedNormal, Field(discriminator="name"), BeforeValidator(_named)]


class BuiltIn(Strict):
    """A model of this project's, initialized as `initialization` says."""

    initialization: Initialization = XavierNormal()

    kind: ClassVar[type[model_base.BuiltIn]]
    """What it is made into."""

    def recipe(self) -> model_base.BuiltIn:
        options = {name: getattr(self, name) for name in type(self).model_fields if name != "name"}
        return self.kind(**options | {"initialization": self.initialization.recipe()})

    @property
    def channels(self) -> int | None:
        return self.kind.channels

    def described(self, shape: ImageShape, classes: int) -> Described:
        """Raises UnfitError for images that the model is not made for."""
        recipe = self.recipe()
        return Described(recipe.layers(shape, classes), recipe, batch_norm=recipe.batch_norm)

    def location(self) -> str | None:
        return None


class Headed(BuiltIn):
    """Features that are globally pooled, and a head: the output layer, with `head` sizes of hidden layers before it.

    A ticket is of the features: it fits every head.
    """

    head: Annotated[tuple[Positive, ...], Field(max_length=100)] = ()
