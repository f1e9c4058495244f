"""Masks that hold in a model: what they prune stays 0 under any torch optimizer and in any state that is loaded."""

import functools
import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook
from torch.utils.hooks import RemovableHandle

from pipeline.lottery.wrapped_models import parameter_at

_OR_REMOVE = "or remove() the handle that `apply` returned."


class LostMaskError(RuntimeError):
    """A masked parameter is gone, or became another, so that its pruned weights could grow: says which, and how."""


class HeldMasks:
    """The handle of masks in a model; `remove()` lets its pruned weights grow again, as torch's handles do.

    Parameters are looked up by name whenever they are zeroed: the masks hold where `load_state_dict(assign=True)`,
    `model.to(...)` or other code puts new parameters in their place. Deep copies and pickles of the model have them.
    """

    def __init__(self, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
        """`masks`: bool by parameter name of `model`, True survives; they are copied. Masks held before are dropped."""
        self._model = model
        for earlier in [held for held in _held if held._model is model]:
            earlier.remove()
        self._pruned = {name: ~kept for name, kept in masks.items()}
        self._handles: list[RemovableHandle] = []
        # Of each layer, whose state may be loaded alone; of the model, which keeps this alive whatever becomes of them.
        owners = [model, *(parameter_at(model, name)[0] for name in masks)]
        for owner in {id(owner): owner for owner in owners}.values():
            handle = owner.register_load_state_dict_post_hook(self._loaded)  # type: ignore[no-untyped-call]  # torch's
            self._handles.append(handle)
        self._hold()
        self.zero()

    def remove(self) -> None:
        """Hold the masks no longer; weights stay as they are."""
        for handle in self._handles:
            handle.remove()
        _held.discard(self)

    def __enter__(self) -> "HeldMasks":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def __setstate__(self, state: dict[str, object]) -> None:
        """Of a deep copy, or from a pickle: with the copy of the model."""
        self.__dict__.update(state)
        self._hold()

    @torch.no_grad()
    def zero(self) -> None:
        """Set what is pruned to 0. Raises LostMaskError where a parameter has gone, or cannot be masked any more."""
        for name, pruned in self._pruned.items():
            parameter = self._parameter(name)
            if parameter.is_meta:
                continue
            if pruned.device != parameter.device:
                pruned = self._pruned[name] = pruned.to(parameter.device)
            parameter.masked_fill_(pruned, 0)  # not a product: 0 even where the step left NaN

    def stepped(self, optimizer: Optimizer) -> None:
        """`optimizer` has made a step: zero what is pruned, if it trains this model."""
        trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if any(id(parameter) in trained for parameter in self._model.parameters()):
            self.zero()

    def _hold(self) -> None:
        _held.add(self)
        _watch_optimizers()

    def _loaded(self, module: nn.Module, keys: object) -> None:
        self.zero()

    def _parameter(self, name: str) -> Tensor:
        try:
            _, parameter = parameter_at(self._model, name)
        except LookupError:
            raise LostMaskError(
                f"{name} is no parameter of the model any more, so that its pruned weights cannot be kept at 0: "
                "another layer was put in its place, or a parametrization, torch.nn.utils.prune or FSDP took it. "
                f"Change the model first, then apply; {_OR_REMOVE}"
            ) from None
        shapes = f"{list(parameter.shape)}, and its mask is {list(self._pruned[name].shape)}"
        if is_sharded(parameter):
            raise LostMaskError(
                f"{name} is in shards, of {shapes}: its pruned weights cannot be kept at 0. Tickets are for models "
                f"that are whole on each device; {_OR_REMOVE}"
            )
        if parameter.shape != self._pruned[name].shape:
            raise LostMaskError(
                f"{name} is {shapes}: another layer was put in its place, whose pruned weights cannot be kept at 0. "
                f"Change the model first, then apply; {_OR_REMOVE}"
            )
        return parameter


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a DTensor, as FSDP and tensor parallelism make them."""
    return hasattr(tensor, "device_mesh")


_held: "weakref.WeakSet[HeldMasks]" = weakref.WeakSet()
"""All that hold. The hooks of their models keep them alive, and nothing else."""


@functools.cache  # once a process, at the first apply: importing this module changes no optimizer
def _watch_optimizers() -> None:
    register_optimizer_step_post_hook(_zero_pruned)


def _zero_pruned(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    for held in list(_held):
        held.stepped(optimizer)
