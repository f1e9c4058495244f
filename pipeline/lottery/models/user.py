"""A user's own model: a class in a file of theirs.

    class Net(torch.nn.Module):
        def __init__(self, input_shape, classes, width=64): ...     # input_shape = (C, H, W)

It is called as `Net(input_shape=(C, H, W), classes=n, **arguments)`, with the arguments of the grid. Images
[B, C, H, W] become class scores [B, n]; in training it may return a tuple, of which they are the first. Its output
layer is the one that gives them, which planning finds by a forward pass (experiment/examination.py); `output_layer`, of
the grid or an attribute of the class, names it where that is not certain. It is initialized by each module's
`reset_parameters()`, or by its own method `initialize(generator)` (see initialization.py); what its constructor does to
parameters is overwritten.
"""

from pathlib import Path

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from pipeline.lottery import plugins
from pipeline.lottery.layers import name_output_layer
from pipeline.recipes.model_base import ImageShape
from pipeline.recipes.users_model import UserModel


def user(recipe: UserModel, input_shape: ImageShape, classes: int, file: Path | None) -> nn.Module:
    """Raises plugins.PluginError about the file, ValueError if the class cannot be made into a module."""
    name, arguments = recipe.class_name, recipe.arguments
    define = plugins.load(file, name, recipe.source)
    if not callable(define):
        raise ValueError(f"{file}: {name!r} is not a class but {type(define).__name__}.")
    try:
        model = define(input_shape=input_shape, classes=classes, **arguments)
    except (Exception, SystemExit) as error:
        given = "".join(f", {key}={value!r}" for key, value in arguments.items())
        raise ValueError(
            f"{file}: {name}(input_shape={input_shape}, classes={classes}{given}) failed: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"{file}: {name}(...) is not a torch.nn.Module but {type(model).__name__}.")
    if _lazy(model):
        _give_shapes(model, input_shape)
    if recipe.output_layer is not None:
        name_output_layer(model, recipe.output_layer)
    return model


def _lazy(model: nn.Module) -> list[str]:
    """Parameters and buffers that have no shape yet."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return [name for name, tensor in tensors.items() if is_lazy(tensor)]


def _give_shapes(model: nn.Module, input_shape: tuple[int, int, int]) -> None:
    """One forward pass in evaluation mode, so that no statistics move. Raises ValueError if it leaves lazy tensors."""
    modes = [(module, module.training) for module in model.modules()]
    why = "in evaluation no forward pass goes through it: give it its sizes."
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(2, *input_shape))
    except (Exception, SystemExit) as error:  # of the user's code
        why = f"the forward pass that would give it failed: {type(error).__name__}: {error}"
    for module, mode in modes:
        module.training = mode
    if left := _lazy(model):
        raise ValueError(f"{left[0]} of {type(model).__name__} has no shape, and {why}")
