"""What planning knows of models: their options, and the shapes of their prunable layers. No torch."""

import math
import re
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator

from pipeline.experiment.keys import canonical
from pipeline.experiment.spec_base import Number, Positive, Strict, refuse
from pipeline.experiment.user_files import UnfitError, source_of

Input = tuple[int, int, int]
"""(channels, height, width) of the images a model sees."""
Layers = tuple[tuple[str, tuple[int, ...]], ...]
"""(parameter name, shape) of every prunable weight in model order; the last one is the output layer's."""


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

    def sizes(self) -> dict[str, Any]:
        """What is in the key of the model's own options."""
        raise NotImplementedError

    def fields(self) -> dict[str, Any]:
        """What is in the key: the name, the options, and the initialization where it is not the default."""
        own = {"name": self.name, **self.sizes()}  # type: ignore[attr-defined]
        if self.initialization == XavierNormal():
            return own
        return own | {"initialization": self.initialization.model_dump()}

    def location(self) -> str | None:
        return None


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


class Convnet(BuiltIn):
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
        return (*inner, ("head.weight", (classes, widths[-1])))


class Vgg19(BuiltIn):
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
        return (*found, ("classifier.weight", (classes, channels)))


class Resnet50(BuiltIn):
    """torchvision's ResNet50, one stem for images of any size. `width`: of the first layer."""

    name: Literal["resnet50"] = "resnet50"
    width: Annotated[Positive, Field(le=10_000)] = 64

    channels: ClassVar[int | None] = 3
    stages: ClassVar = ((1, 3), (2, 4), (4, 6), (8, 3))
    """(channels of the 3x3 convolution in units of the width, blocks)."""

    def sizes(self) -> dict[str, Any]:
        return {"width": self.width} if self.width != 64 else {}

    def layers(self, shape: Input, classes: int) -> Layers:
        found: list[tuple[str, tuple[int, ...]]] = [("conv1.weight", (self.width, shape[0], 7, 7))]
        channels = self.width
        for number, (units, blocks) in enumerate(self.stages, start=1):
            planes = units * self.width
            for block in range(blocks):
                prefix = f"layer{number}.{block}"
                found += [
                    (f"{prefix}.conv1.weight", (planes, channels, 1, 1)),
                    (f"{prefix}.conv2.weight", (planes, planes, 3, 3)),
                    (f"{prefix}.conv3.weight", (4 * planes, planes, 1, 1)),
                ]
                if block == 0:
                    found.append((f"{prefix}.downsample.0.weight", (4 * planes, channels, 1, 1)))
                channels = 4 * planes
        return (*found, ("fc.weight", (classes, channels)))


class UserModel(Strict):
    """A class in a file of the user's; planning asks the class itself for its layers, and so needs torch for it."""

    name: Literal["user"] = "user"
    source: str
    """`file.py:Class`."""
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

    def layers(self, shape: Input, classes: int) -> Layers:
        return _described(canonical(self.fields()), self.source, self.location(), shape, classes)

    def location(self) -> str:
        return str(source_of(self.source)[0])


@lru_cache(maxsize=256)
def _described(fields: str, source: str, file: str, shape: Input, classes: int) -> Layers:
    import json

    from pipeline.lottery.models import describe

    try:
        return tuple((name, tuple(sizes)) for name, sizes in describe(json.loads(fields), shape, classes, file))
    except (ValueError, LookupError) as error:
        raise UnfitError(f"{source} cannot be built for images of {shape} and {classes} classes: {error}") from error


def _spelled_out(raw: Any) -> Any:
    """`lenet-300-100`, `perceptron-10`, `convnet-16`, `vgg19-8` and `file.py:Class` as mappings of name and options."""
    options = {"name": raw} if isinstance(raw, str) else raw
    if not isinstance(options, dict) or not isinstance(options.get("name"), str):
        return options
    name = options["name"]
    if ".py:" in name:
        return {**options, "name": "user", "source": name}
    written = re.fullmatch(r"(lenet|perceptron|convnet|vgg19|resnet50)((?:-\d{1,7})+)", name)
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
    Lenet | Perceptron | Convnet | Vgg19 | Resnet50 | UserModel,
    Field(discriminator="name"),
    BeforeValidator(_spelled_out),
]
