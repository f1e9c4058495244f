"""From a model's recipe to a module, or to the shapes of its prunable weights."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

from pipeline.lottery.layers import output_layer, prunable
from pipeline.lottery.models.user import user
from pipeline.recipes.model_base import BuiltIn, ImageShape
from pipeline.recipes.models import Model
from pipeline.recipes.users_model import UserModel


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
        return _built(model, shape, classes)


def _built(model: BuiltIn, shape: ImageShape, classes: int) -> nn.Module:
    """By the function that is called as the model."""
    module = import_module(f"pipeline.lottery.models.{model.module or model.name}")
    network: nn.Module = getattr(module, model.name)(model, shape, classes)
    return network


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
