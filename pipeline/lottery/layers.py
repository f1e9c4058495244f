"""Which tensors of a model are prunable, which layer is its output layer, and which layers are its head."""

import difflib

from torch import nn

from pipeline.recipes.layers import MaskedLayers

PRUNABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


class Head(nn.Sequential):
    """Several fully connected layers in the place of the output layer: redrawn, left unpruned and trained as one."""


def name_output_layer(model: nn.Module, name: str) -> None:
    """From here on `output_layer` of this very `model` is `name`. Raises ValueError if it has no such module."""
    _check_name(model, name, "output_layer")
    object.__setattr__(model, "_named_output_layer", name)  # `output_layer` itself may be one of its modules


def output_layer(model: nn.Module) -> str:
    """Module name of the output layer: as it was named (`name_output_layer`, or the model's own attribute
    `output_layer`), else the last Linear.

    Raises ValueError if the model has neither.
    """
    named = getattr(model, "_named_output_layer", None)
    named = getattr(model, "output_layer", None) if named is None else named
    if isinstance(named, str):
        _check_name(model, named, f"{type(model).__name__}.output_layer")
        return named
    linear: list[str] = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ValueError(
            f"{type(model).__name__} has no Linear layer: set its attribute `output_layer` to the module's name."
        )
    return linear[-1]


def _check_name(model: nn.Module, name: str, what: str) -> None:
    names = [module for module, _ in model.named_modules(remove_duplicate=False)]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{what} names {name!r}, which is not one of the modules of {type(model).__name__}.{hint}")


def head(model: nn.Module) -> str:
    """Module name of the head: the `Head` where there is one, else the output layer. Raises as `output_layer`."""
    return next((name for name, module in model.named_modules() if isinstance(module, Head)), output_layer(model))


def names_head(model: nn.Module) -> bool:
    """Whether the model says itself which layers are its head, so that its last Linear need not be taken for it."""
    named = (getattr(model, "_named_output_layer", None), getattr(model, "output_layer", None))
    return any(isinstance(name, str) for name in named) or any(isinstance(module, Head) for module in model.modules())


def is_below(name: str, module: str) -> bool:
    """Whether `name`, of a module or a tensor, is that of `module` or of something in it; "" is the whole model."""
    return not module or name == module or name.startswith(f"{module}.")


def prunable(model: nn.Module, output: bool = False) -> dict[str, nn.Parameter]:
    """Weights of convolutions and linear layers in the model's order, never biases or batch norm.

    Those of the head are included only if `output` is true. A weight that several layers share is there once; one that
    the head shares is the head's.
    """
    left = head(model)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    of_head = {id(parameter) for name, parameter in parameters.items() if is_below(name, left)}
    names = {
        f"{name}.weight" if name else "weight"
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, PRUNABLE)
    }
    found: dict[int, tuple[str, nn.Parameter]] = {}
    for name, parameter in parameters.items():
        if name in names and (output if is_below(name, left) else id(parameter) not in of_head):
            found.setdefault(id(parameter), (name, parameter))
    return dict(found.values())


def unmasked(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters of two or more dimensions that are neither `prunable` nor the head's, in the model's order.

    No mask covers them unless they are included by name: an attention's `in_proj_weight`, transposed convolutions,
    recurrent layers, what a weight is computed from (weight norm, spectral norm), embeddings, a user's own.
    """
    left = head(model)
    known = {id(parameter) for parameter in prunable(model, output=True).values()}
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1 and id(parameter) not in known and not is_below(name, left)
    }


def maskable(model: nn.Module, masked: MaskedLayers) -> dict[str, nn.Parameter]:
    """The weights that a mask may be over, whatever its `layers` choose of them.

    All prunable ones, then those that are `included` by name, then those of the output layer if it `prunes_output`.
    Raises ValueError for an included name that is no parameter of the model.
    """
    every, hidden = prunable(model, output=masked.prunes_output), prunable(model)
    if not masked.included:
        return every
    parameters = dict(model.named_parameters())
    if unknown := [name for name in masked.included if name not in parameters]:
        raise ValueError(f"{', '.join(unknown)} is no parameter of this {type(model).__name__}.")
    return hidden | {name: parameters[name] for name in masked.included} | every


def counted(model: nn.Module, masked: MaskedLayers) -> dict[str, nn.Parameter]:
    """The weights that a mask is over: all `maskable` ones, or those that `layers` names; then all other layers are
    whole. Raises ValueError for a name that is none of them.
    """
    every = maskable(model, masked)
    chosen = list(every) if masked.layers is None else masked.layers
    if unknown := [name for name in chosen if name not in every]:
        raise ValueError(
            f"There is no prunable {', '.join(unknown)} in this {type(model).__name__}; prunable: {', '.join(every)}."
        )
    return {name: parameter for name, parameter in every.items() if name in chosen}
