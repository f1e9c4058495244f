"""Which tensors of a model are prunable, which layer is its output layer, and which layers are its head."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from pipeline.lottery.many_networks import ManyLinear

PRUNABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, ManyLinear)


class Head(nn.Sequential):
    """Several fully connected layers in the place of the output layer: redrawn, left unpruned and trained as one."""


def output_layer(model: nn.Module) -> str:
    """Module name of the output layer: `model.output_layer` where the model names it, else its last Linear.

    Raises ValueError if the model has neither.
    """
    named = getattr(model, "output_layer", None)
    if isinstance(named, str):
        if named not in dict(model.named_modules()):
            raise ValueError(f"{type(model).__name__}.output_layer names {named!r}, which is not one of its modules.")
        return named
    linear: list[str] = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | ManyLinear)]
    if not linear:
        raise ValueError(
            f"{type(model).__name__} has no Linear layer: set its attribute `output_layer` to the module's name."
        )
    return linear[-1]


def head(model: nn.Module) -> str:
    """Module name of the head: the `Head` where there is one, else the output layer. Raises as `output_layer`."""
    return next((name for name, module in model.named_modules() if isinstance(module, Head)), output_layer(model))


def is_below(name: str, module: str) -> bool:
    """Whether `name`, of a module or a tensor, is that of `module` or of something in it; "" is the whole model."""
    return not module or name == module or name.startswith(f"{module}.")


def prunable(model: nn.Module, output: bool = False) -> dict[str, nn.Parameter]:
    """Weights of convolutions and linear layers in the model's order, never biases or batch norm.

    Those of the head are included only if `output` is true.
    """
    left = head(model)
    parameters = dict(model.named_parameters())
    names = {
        f"{name}.weight" if name else "weight"
        for name, module in model.named_modules()
        if isinstance(module, PRUNABLE) and (output or not is_below(name, left))
    }
    return {name: parameter for name, parameter in parameters.items() if name in names}


def counted(model: nn.Module, start: Mapping[str, Any]) -> dict[str, nn.Parameter]:
    """The weights that the mask of a train stage's `start` is over, in the model's order.

    All prunable ones (those of the output layer if it `prunes_output`), or those that `layers` names; then all other
    layers are whole. Raises ValueError for a name that is none of them.
    """
    every = prunable(model, output=start.get("prunes_output", False))
    chosen = start.get("layers", list(every))
    if unknown := [name for name in chosen if name not in every]:
        raise ValueError(
            f"There is no prunable {', '.join(unknown)} in this {type(model).__name__}; prunable: {', '.join(every)}."
        )
    return {name: parameter for name, parameter in every.items() if name in chosen}
