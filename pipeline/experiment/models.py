"""Models as a grid names them, with their options; what they are is `recipes.models`."""

import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, JsonValue, field_validator

from pipeline.experiment.of_recipes import OfRecipe, one_of, written_as
from pipeline.experiment.spec_base import Strict, refuse
from pipeline.experiment.user_files import source_of
from pipeline.recipes import model_base, models, users_model
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.keys import canonical
from pipeline.recipes.model_base import ImageShape, Layers

if TYPE_CHECKING:
    from pipeline.experiment.examination import Examination


@dataclass(frozen=True, slots=True)
class Described:
    """A model on images of one shape with so many classes."""

    layers: Layers
    recipe: models.Model
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


class Initialization(OfRecipe):
    """How a model is initialized."""

    made: ClassVar[type[model_base.Initialization]]


INITIALIZATIONS = written_as(model_base.INITIALIZATIONS, Initialization)
if not TYPE_CHECKING:
    Initialization = one_of(INITIALIZATIONS)


class BuiltIn(OfRecipe):
    """A model of this project's, initialized as `initialization` says."""

    initialization: Initialization = INITIALIZATIONS["xavier-normal"]()

    made: ClassVar[type[model_base.BuiltIn]]
    if TYPE_CHECKING:
        name: str = ""

    def recipe(self) -> model_base.BuiltIn:
        return self.made(**self._options())

    @property
    def channels(self) -> int | None:
        return self.made.channels

    def described(self, shape: ImageShape, classes: int) -> Described:
        """Raises UnfitError for images that the model is not made for."""
        recipe = self.recipe()
        return Described(recipe.layers(shape, classes), recipe, batch_norm=recipe.batch_norm)

    def location(self) -> str | None:
        return None


MODELS = written_as(models.MODELS, BuiltIn, first=("head",))


class UserModel(Strict):
    """A class in a file of the user's; planning asks the class itself for its layers, and so needs torch for it."""

    name: Literal["user"] = "user"
    source: str
    """`file.py:Class`."""
    output_layer: str | None = None
    """The module whose outputs are the class scores, where a forward pass does not show it."""
    arguments: dict[str, JsonValue] = Field(default_factory=dict)

    channels: ClassVar[int | None] = None

    @field_validator("arguments")
    @classmethod
    def _finite(cls, arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
        try:
            canonical(arguments)
        except ValueError:
            raise refuse("should hold finite numbers only.") from None
        return arguments

    def recipe(self) -> users_model.UserModel:
        """Raises UnfitError where the file is not there."""
        _, class_name, digest = source_of(self.source)
        return users_model.UserModel(class_name, digest, self.arguments)

    def described(self, shape: ImageShape, classes: int) -> Described:
        """Of the output layer's name, the key has what the class itself and its last Linear do not say.

        Raises UnfitError for a class that is no model of such images, or whose output layer is not certain.
        """
        recipe = self.recipe()
        asked = replace(recipe, output_layer=self.output_layer)
        found = _examined(canonical(asked.fields()), self.source, self.location(), shape, classes)
        return Described(
            tuple(found.layers),
            replace(recipe, output_layer=found.output_layer),
            tuple(found.unmasked),
            found.prunes_output,
            found.batch_norm,
            recipe.class_name,
            tuple(f"{recipe.class_name} {remark}." for remark in found.remarks),
            frozenset(found.unreached),
        )

    def location(self) -> str:
        return str(source_of(self.source)[0])


@lru_cache(maxsize=256)
def _examined(fields: str, source: str, file: str, shape: ImageShape, classes: int) -> "Examination":
    from pipeline.experiment.examination import examine

    try:
        return examine(users_model.UserModel.from_fields(json.loads(fields)), shape, classes, file)
    except (ValueError, LookupError) as error:
        raise UnfitError(f"{source}, on images of {shape} and {classes} classes: {error}") from error


SIZED = {name: kind for name, kind in models.MODELS.items() if kind.short is not None}
"""Models that may be written with their sizes: vgg19-8."""
_SIZED = re.compile(rf"({'|'.join(SIZED)})((?:-\d{{1,7}})+)")


def _spelled_out(raw: object) -> object:
    """`lenet-300-100`, `perceptron-10`, `vgg19-8` and `file.py:Class` as mappings of name and options."""
    options = {"name": raw} if isinstance(raw, str) else raw
    if not isinstance(options, dict) or not isinstance(options.get("name"), str):
        return options
    written = options["name"]
    if ".py:" in written:
        return {**options, "name": "user", "source": written}
    found = _SIZED.fullmatch(written)
    if not found:
        return options
    name, option = found[1], SIZED[found[1]].short or ""
    sizes = tuple(int(size) for size in found[2].split("-")[1:])
    several = isinstance(getattr(SIZED[name], option), tuple)
    if option in options:
        raise refuse(f"is given twice: in the name {written!r} too.", option)
    if not several and len(sizes) > 1:
        raise refuse(f"a {name} has one {option}, as in {name}-{sizes[0]}, not {written!r}.")
    return {**options, "name": name, option: sizes if several else sizes[0]}


Model = BuiltIn | UserModel
if not TYPE_CHECKING:
    Model = one_of(MODELS, UserModel, written=_spelled_out)
