"""What planning knows of models: their options, and the shapes of their prunable layers. No torch."""

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator

from pipeline.experiment.model_base import BuiltIn, Described, Headed, Input, Layers
from pipeline.experiment.resnets import Resnet18, Resnet20, Resnet50
from pipeline.experiment.spec_base import Positive, Strict, refuse
from pipeline.experiment.user_files import UnfitError, source_of
from pipeline.recipes.keys import canonical

if TYPE_CHECKING:
    from pipeline.lottery.models.examination import Examination


class Lenet(BuiltIn):
    """LeNet-h-h: fully connected, made for images of one size."""

    name: Literal["lenet"] = "lenet"
    hidden: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=100)] = (300, 100)

    channels: ClassVar[int | None] = None

    def sizes(self) -> dict[str, Any]:
        return {"hidden": list(self.hidden)}

    def layers(self, shape: Input, classes: int) -> Layers:
        sizes = (math.prod(shape), *self.hidden)
        inner = tuple((f"fc{n}.weight", (sizes[n], sizes[n - 1])) for n in range(1, len(sizes)))
        return (*inner, ("head.weight", (classes, sizes[-1])))


class Perceptron(BuiltIn):
    """h hidden units and one sigmoid output, for two classes: `networks` independent ones, trained at once.

    Frankle & Carbin 2018, section 2: each has weights, a mask and a loss of its own, and counts as one trial.
    """

    name: Literal["perceptron"] = "perceptron"
    hidden: Annotated[Positive, Field(le=10_000)] = 10
    networks: Annotated[Positive, Field(le=1_000_000)] = 1000

    channels: ClassVar[int | None] = None

    def sizes(self) -> dict[str, Any]:
        return {"hidden": self.hidden, "networks": self.networks}

    def layers(self, shape: Input, classes: int) -> Layers:
        if classes != 2:
            raise UnfitError(f"a perceptron tells two classes apart; these are {classes}.", "dataset")
        inputs = math.prod(shape)
        return (
            ("hidden.weight", (self.networks, self.hidden, inputs)),
            ("head.weight", (self.networks, 1, self.hidden)),
        )


class Linear(BuiltIn):
    """The output layer alone: logistic regression on pixels."""

    name: Literal["linear"] = "linear"

    channels: ClassVar[int | None] = None

    def sizes(self) -> dict[str, Any]:
        return {}

    def layers(self, shape: Input, classes: int) -> Layers:
        return (("head.weight", (classes, math.prod(shape))),)


class Cifarnet(BuiltIn):
    """Van Soelen & Sheppard 2019's network, for images of one size. `width`: channels of the convolutions."""

    name: Literal["cifarnet"] = "cifarnet"
    width: Annotated[Positive, Field(le=10_000)] = 64

    channels: ClassVar[int | None] = 3

    def sizes(self) -> dict[str, Any]:
        return {"width": self.width} if self.width != 64 else {}

    def layers(self, shape: Input, classes: int) -> Layers:
        depth, height, width = shape
        if height % 4 or width % 4:
            raise UnfitError(
                f"cifarnet halves images twice, and {height}x{width} do not divide by 4: crop, as the paper does to "
                "28x28.",
                "dataset",
            )
        sizes = (self.width * (height // 4) * (width // 4), 6 * self.width, 3 * self.width)
        return (
            ("conv1.weight", (self.width, depth, 5, 5)),
            ("conv2.weight", (self.width, self.width, 5, 5)),
            ("fc1.weight", (sizes[1], sizes[0])),
            ("fc2.weight", (sizes[2], sizes[1])),
            ("head.weight", (classes, sizes[2])),
        )


class Convnet(Headed):
    """Three 3x3 convolutions of width, 2 width and 4 width with batch norm, globally pooled: images of any size."""

    name: Literal["convnet"] = "convnet"
    width: Annotated[Positive, Field(le=100_000)] = 16

    channels: ClassVar[int | None] = 3
    """Grey images are repeated to three, so that every source's ticket fits every target."""

    def sizes(self) -> dict[str, Any]:
        return {"width": self.width}

    def layers(self, shape: Input, classes: int) -> Layers:
        widths = (shape[0], self.width, 2 * self.width, 4 * self.width)
        inner = tuple((f"conv{n}.weight", (widths[n], widths[n - 1], 3, 3)) for n in (1, 2, 3))
        return (*inner, self.output("head", widths[-1], classes))


class Vgg19(Headed):
    """Morcos et al. 2019's VGG19, globally pooled: images of 16 pixels and more. `width`: of the first layer."""

    name: Literal["vgg19"] = "vgg19"
    width: Annotated[Positive, Field(le=10_000)] = 64

    channels: ClassVar[int | None] = 3
    blocks: ClassVar = ((1, 2), (2, 2), (4, 4), (8, 4), (8, 4))
    """(channels in units of the width, convolutions) between two max pools."""

    def sizes(self) -> dict[str, Any]:
        return {"width": self.width} if self.width != 64 else {}

    def layers(self, shape: Input, classes: int) -> Layers:
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

    def fields(self) -> dict[str, Any]:
        _, class_name, digest = source_of(self.source)
        arguments = {"arguments": self.arguments} if self.arguments else {}
        return {"name": "user", "class": class_name, "source": digest, **arguments}

    def described(self, shape: Input, classes: int) -> Described:
        """Of the output layer's name, the key has what the class itself and its last Linear do not say.

        Raises UnfitError for a class that is no model of such images, or whose output layer is not certain.
        """
        fields = self.fields()
        asked = fields | ({"output_layer": self.output_layer} if self.output_layer is not None else {})
        found = _examined(canonical(asked), self.source, self.location(), shape, classes)
        own = {"output_layer": found.output_layer} if found.output_layer is not None else {}
        return Described(
            tuple(found.layers),
            fields | own,
            tuple(found.unmasked),
            found.prunes_output,
            found.batch_norm,
            fields["class"],
            tuple(f"{fields['class']} {remark}." for remark in found.remarks),
            frozenset(found.unreached),
        )

    def location(self) -> str:
        return str(source_of(self.source)[0])


@lru_cache(maxsize=256)
def _examined(fields: str, source: str, file: str, shape: Input, classes: int) -> "Examination":
    import json

    from pipeline.lottery.models.examination import examine

    try:
        return examine(json.loads(fields), shape, classes, file)
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
