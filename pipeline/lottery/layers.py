"""Which tensors of a model are prunable, and which layer is its output layer."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from pipeline.lottery.many_networks import ManyLinear

PRUNABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, ManyLinear)


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


def prunable(model: nn.Module, output: bool = False) -> dict[str, nn.Parameter]:
    """Weights of convolutions and linear layers in the model's order, never biases or batch norm.

    The output layer's weight is included only if `output` is true.
    """
    head = output_layer(model)
    parameters = dict(model.named_parameters())
    names = {
        f"{name}.weight" if name else "weight"
        for name, module in model.named_modules()
        if isinstance(module, PRUNABLE) and (output or name != head)
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
