"""Whole states copied into models that they have to fit."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


def copy_state(model: nn.Module, weights: Mapping[str, Tensor], leave: Collection[str] = ()) -> None:
    """Copy a whole state into a model of the same architecture, but for the tensors named in `leave`.

    Raises ValueError, before anything is copied, that names what is missing, unknown, or of another shape or kind.
    """
    copy_into(model.state_dict(), weights, leave, type(model).__name__)


def copy_into(
    whole: Mapping[str, object], weights: Mapping[str, Tensor], leave: Collection[str] = (), model: str = "model"
) -> None:
    """As `copy_state`, into the state of a `model` of that name, whose tensors are written."""
    state = {name: value for name, value in whole.items() if isinstance(value, Tensor) and name not in leave}
    if lazy := [name for name, value in state.items() if is_lazy(value)]:
        raise ValueError(
            f"{lazy[0]} of this {model} has no shape before its first forward pass (lazy): run it once on images."
        )
    given = {name: value for name, value in weights.items() if name not in leave}
    wrong = [f"{name} is in the model only" for name in state if name not in given]
    wrong += [f"{name} is in the weights only" for name in given if name not in state]
    wrong += [
        f"{name} is {list(value.shape)} in the model and {list(given[name].shape)} in the weights"
        for name, value in state.items()
        if name in given and value.shape != given[name].shape
    ]
    wrong += [
        f"{name} is {value.dtype} in the model and {given[name].dtype} in the weights"
        for name, value in state.items()
        if name in given and _kind(value) != _kind(given[name])
    ]
    wrong += [f"{name} has no storage (meta device)" for name, value in state.items() if value.is_meta]
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ValueError(f"The weights do not fit this {model}: {'; '.join(wrong[:5])}{more}.")
    with torch.no_grad():
        for name, value in state.items():
            value.copy_(given[name])


def _kind(tensor: Tensor) -> tuple[bool, bool]:
    """Kinds of numbers that are not copied into one another; another precision is."""
    return tensor.is_floating_point(), tensor.is_complex()
