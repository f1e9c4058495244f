"""Models as a grid names them, with their options; what they are is `recipes.models`."""

import json
import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator

from pipeline.experiment.model_base import BuiltIn, Described, Headed
from pipeline.experiment.spec_base import Positive, Strict, refuse
from pipeline.experiment.user_files import source_of
from pipeline.recipes import models, resnets, users_model
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.keys import canonical
from pipeline.recipes.model_base import ImageShape

if TYPE_CHECKING:
    from pipeline.lottery.models.examination import Examination


class Lenet(BuiltIn):
    """LeNet-h-h: fully connected, made for images of one size."""

    kind = models.Lenet

    name: Literal["lenet"] = "lenet"
    hidden: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=100)] = models.Lenet.hidden


class Perceptron(BuiltIn):
    """h hidden units and one sigmoid output, for two classes: `networks` independent ones, trained at once."""

    kind = models.Perceptron

    name: Literal["perceptron"] = "perceptron"
    hidden: Annotated[Positive, Field(le=10_000)] = models.Perceptron.hidden
    networks: Annotated[Positive, Field(le=1_000_000)] = models.Perceptron.networks


class Linear(BuiltIn):
    """The output layer alone: logistic regression on pixels."""

    kind = models.Linear

    name: Literal["linear"] = "linear"


class Cifarnet(BuiltIn):
    """Van Soelen & Sheppard 2019's network, for images of one size. `width`: channels of the convolutions."""

    kind = models.Cifarnet

    name: Literal["cifarnet"] = "cifarnet"
    width: Annotated[Positive, Field(le=10_000)] = models.Cifarnet.width


class Convnet(Headed):
    """Three 3x3 convolutions of width, 2 width and 4 width with batch norm, globally pooled: images of any size."""

    kind = models.Convnet

    name: Literal["convnet"] = "convnet"
    width: Annotated[Positive, Field(le=100_000)] = models.Convnet.width


class Vgg19(Headed):
    """Morcos et al. 2019's VGG19, globally pooled: images of 16 pixels and more. `width`: of the first layer."""

    kind = models.Vgg19

    name: Literal["vgg19"] = "vgg19"
    width: Annotated[Positive, Field(le=10_000)] = models.Vgg19.width


class Resnet50(Headed):
    """Bottlenecks, and He et al. 2015's stem for images of any size."""

    kind = resnets.Resnet50

    name: Literal["resnet50"] = "resnet50"
    width: Annotated[Positive, Field(le=10_000)] = resnets.Resnet50.width


class Resnet18(Headed):
    """Pairs of 3x3 convolutions on images of some 32 pixels: the one of 11 million weights in Mehta 2019, Table 1."""

    kind = resnets.Resnet18

    name: Literal["resnet18"] = "resnet18"
    width: Annotated[Positive, Field(le=10_000)] = resnets.Resnet18.width


class Resnet20(Headed):
    """16, 32 and 64 channels, three blocks each (He et al. 2015 for CIFAR-10): the layers that Table 1 lists."""

    kind = resnets.Resnet20

    name: Literal["resnet20"] = "resnet20"
    width: Annotated[Positive, Field(le=10_000)] = resnets.Resnet20.width


class UserModel(Strict):
    """A class in a file of the user's; planning asks the class itself for its layers, and so needs torch for it."""

    name: Literal["user"] = "user"
    source: str
    """`file.py:Class`."""
    output_layer: str | None = None
    """The module whose outputs are the class scores, where a forward pass does not show it."""
    arguments: dict[str, Any] = Field(default_factory=dict)

    channels: ClassVar[int | None] = None

    @field_validator("arguments")
    @classmethod
    def _finite(cls, arguments: dict[str, Any]) -> dict[str, Any]:
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
    from pipeline.lottery.models.examination import examine

    try:
        return examine(users_model.UserModel.from_fields(json.loads(fields)), shape, classes, file)
    except (ValueError, LookupError) as error:
        raise UnfitError(f"{source}, on images of {shape} and {classes} classes: {error}") from error


SIZED = ("lenet", "perceptron", "convnet", "cifarnet", "vgg19", "resnet50", "resnet18", "resnet20")
"""Models that may be written with their sizes: vgg19-8."""


def _spelled_out(raw: Any) -> Any:
    """`lenet-300-100`, `perceptron-10`, `vgg19-8` and `file.py:Class` as mappings of name and options."""
    options = {"name": raw} if isinstance(raw, str) else raw
    if not isinstance(options, dict) or not isinstance(options.get("name"), str):
        return options
    name = options["name"]
    if ".py:" in name:
        return {**options, "name": "user", "source": name}
    written = re.fullmatch(rf"({'|'.join(SIZED)})((?:-\d{{1,7}})+)", name)
    if not written:
        return options
    sizes = [int(size) for size in written[2].split("-")[1:]]
    option = "hidden" if written[1] in ("lenet", "perceptron") else "width"
    value = tuple(sizes) if written[1] == "lenet" else sizes[0]
    if option in options:
        raise refuse(f"is given twice: in the name {name!r} too.", option)
    if written[1] != "lenet" and len(sizes) > 1:
        raise refuse(f"a {written[1]} has one {option}, as in {written[1]}-{sizes[0]}, not {name!r}.")
    return {**options, "name": written[1], option: value}


Model = Annotated[
    Lenet | Perceptron | Linear | Convnet | Cifarnet | Vgg19 | Resnet50 | Resnet18 | Resnet20 | UserModel,
    Field(discriminator="name"),
    BeforeValidator(_spelled_out),
]
