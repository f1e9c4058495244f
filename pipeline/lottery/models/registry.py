"""From a model's recipe to a module, or to the shapes of its prunable weights."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.lottery.layers import output_layer, prunable
from pipeline.lottery.models.cifarnet import cifarnet
from pipeline.lottery.models.convnet import convnet
from pipeline.lottery.models.lenet import lenet, linear
from pipeline.lottery.models.perceptron import perceptron
from pipeline.lottery.models.resnet import resnet18, resnet20, resnet50
from pipeline.lottery.models.user import user
from pipeline.lottery.models.vgg import vgg19
from pipeline.recipes.model_base import ImageShape
from pipeline.recipes.models import Cifarnet, Convnet, Lenet, Linear, Model, Perceptron, Vgg19
from pipeline.recipes.resnets import Resnet18, Resnet20, Resnet50
from pipeline.recipes.users_model import UserModel

BUILDERS: dict[type[Model], Callable[[Any, ImageShape, int], nn.Module]] = {
    Lenet: lenet,
    Perceptron: perceptron,
    Linear: linear,
    Cifarnet: cifarnet,
    Convnet: convnet,
    Vgg19: vgg19,
    Resnet50: resnet50,
    Resnet18: resnet18,
    Resnet20: resnet20,
}
"""Each takes a recipe of its class."""


def build(model: Model, input: Sequence[int], classes: int, file: str | Path | None = None) -> nn.Module:
    """The module for [B, C, H, W] float batches with `input` = (C, H, W), on the default device; returns [B, classes],
    or [networks, B, classes] where it is many networks at once.

    Its parameters hold no meaning until `initialize` or a state is loaded. `file` is where a user's model is defined,
    whose lazy layers get their shapes by a forward pass, and whose output layer may be named by the recipe.
    The global random number generator is left as it was.
    Raises ValueError for a model that cannot be built.
    """
    channels, height, width = input
    shape = (channels, height, width)
    with torch.random.fork_rng(devices=[]):
        # A fixed state, so that what a user's constructor draws (a random buffer) is the same in every process.
        torch.default_generator.manual_seed(0)
        if isinstance(model, UserModel):
            return user(model, shape, classes, Path(file) if file else None)
        return BUILDERS[type(model)](model, shape, classes)


def describe(
    model: Model, input: Sequence[int], classes: int, file: str | Path | None = None
) -> list[tuple[str, tuple[int, ...]]]:
    """Name and shape of each prunable weight in model order, then the output layer's, which is always the last entry.

    Built on the meta device: no memory, whatever the model's size. Raises as `build`, and ValueError where the model
    has no output layer.
    """
    with torch.device("meta"):
        built = build(model, input, classes, file)
    weights, output = prunable(built), output_layer(built)
    head = built.get_submodule(output)
    if not isinstance(head.weight, torch.Tensor):
        raise ValueError(f"The output layer {output!r} of {type(built).__name__} has no weight.")
    shapes = [(name, tuple(weight.shape)) for name, weight in weights.items()]
    return [*shapes, (f"{output}.weight", tuple(head.weight.shape))]
