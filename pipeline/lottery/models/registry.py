"""The registry of models: from a stage's model fields to a module, or to the shapes of its prunable weights."""

import difflib
from collections.abc import Callable, Mapping, Sequence
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

Builder = Callable[[Mapping[str, Any], tuple[int, int, int], int, Path | None], nn.Module]

FULL_WIDTH = 64
"""Channels of the first convolution in the papers; other widths scale all layers."""


def _headed(network: Callable[..., nn.Module], width: int = FULL_WIDTH) -> Builder:
    """A model of features and a head, with options `width` and `head`."""
    return lambda fields, shape, classes, file: network(
        shape, classes, fields.get("width", width), fields.get("head", ())
    )


MODELS: dict[str, Builder] = {
    "lenet": lambda fields, shape, classes, file: lenet(shape, classes, fields["hidden"]),
    "perceptron": lambda fields, shape, classes, file: perceptron(shape, fields["hidden"], fields["networks"]),
    "linear": lambda fields, shape, classes, file: linear(shape, classes),
    "cifarnet": lambda fields, shape, classes, file: cifarnet(shape, classes, fields.get("width", FULL_WIDTH)),
    "convnet": _headed(convnet),
    "vgg19": _headed(vgg19),
    "resnet50": _headed(resnet50),
    "resnet18": _headed(resnet18),
    "resnet20": _headed(resnet20, width=16),
    "user": user,
}


def build(
    model_fields: Mapping[str, Any], input: Sequence[int], classes: int, file: str | Path | None = None
) -> nn.Module:
    """The module for [B, C, H, W] float batches with `input` = (C, H, W), on the default device; returns [B, classes],
    or [networks, B, classes] where it is many networks at once.

    Its parameters hold no meaning until `initialize` or a state is loaded. `file` is where a user's model is defined,
    whose lazy layers get their shapes by a forward pass, and whose output layer may be named by the fields.
    The global random number generator is left as it was.
    Raises LookupError for an unknown name and ValueError for a model that cannot be built.
    """
    name = model_fields["name"]
    if name not in MODELS:
        near = difflib.get_close_matches(str(name), MODELS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise LookupError(f"There is no model {name!r}.{hint} Models: {', '.join(MODELS)}, or `file.py:Class`.")
    channels, height, width = input
    with torch.random.fork_rng(devices=[]):
        # A fixed state, so that what a user's constructor draws (a random buffer) is the same in every process.
        torch.default_generator.manual_seed(0)
        return MODELS[name](model_fields, (channels, height, width), classes, Path(file) if file else None)


def describe(
    model_fields: Mapping[str, Any], input: Sequence[int], classes: int, file: str | Path | None = None
) -> list[tuple[str, tuple[int, ...]]]:
    """Name and shape of each prunable weight in model order, then the output layer's, which is always the last entry.

    Built on the meta device: no memory, whatever the model's size. Raises as `build`, and ValueError where the model
    has no output layer.
    """
    with torch.device("meta"):
        model = build(model_fields, input, classes, file)
    weights = prunable(model)
    head = model.get_submodule(output_layer(model))
    if not isinstance(head.weight, torch.Tensor):
        raise ValueError(f"The output layer {output_layer(model)!r} of {type(model).__name__} has no weight.")
    shapes = [(name, tuple(weight.shape)) for name, weight in weights.items()]
    return [*shapes, (f"{output_layer(model)}.weight", tuple(head.weight.shape))]
