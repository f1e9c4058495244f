"""Those of torch.optim as a recipe describes them, and their state."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.lottery.checkpoint import StateDict, copied
from pipeline.recipes import optimizers as recipes


def build_optimizer(recipe: recipes.Optimizer, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """The optimizer of a training: torch's of the same name."""
    kind: Callable[..., Optimizer] = getattr(torch.optim, type(recipe).__name__)
    options = recipe.options()
    # Fused: LeNet-300-100 on one core, 0.18 ms a step instead of 0.46 (SGD with momentum and decay), 0.34 instead of
    # 0.74 (Adam); plain SGD does not differ.
    optimizer = kind(parameters, fused=True, **options)
    if options.get("momentum"):
        optimizer.register_step_pre_hook(_begin_late_momenta)
    return optimizer


def _begin_late_momenta(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A momentum for parameters whose first gradient comes after that of others (stochastic depth, unused branches).

    SGD begins it as the first gradient; its fused step can do so for all parameters at once only. From -0 it comes out
    the same, to the bit: -0 times the momentum is -0, which added to any number, also to +0 and -0, is that number.
    """
    for group in optimizer.param_groups:
        moved = [parameter for parameter in group["params"] if parameter.grad is not None]
        late = [parameter for parameter in moved if optimizer.state.get(parameter, {}).get("momentum_buffer") is None]
        if len(late) < len(moved):
            for parameter in late:
                optimizer.state[parameter]["momentum_buffer"] = torch.full_like(parameter, -0.0)


def state_of(optimizer: Optimizer) -> dict[int, StateDict]:
    """A copy of momenta and step counts, by the parameter's position."""
    return {position: copied(state) for position, state in optimizer.state_dict()["state"].items()}


def restore(optimizer: Optimizer, states: Mapping[int, StateDict]) -> None:
    """Put copies of `states` into a fresh optimizer over the same parameters."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for position, state in states.items():
        parameter = parameters[position]
        optimizer.state[parameter] = {name: _placed(tensor, parameter) for name, tensor in state.items()}


def _placed(tensor: Tensor, parameter: nn.Parameter) -> Tensor:
    if tensor.shape != parameter.shape:  # Adam's step count
        return tensor.to(parameter.device, copy=True)
    # The fused step walks over memory, so that a momentum must lie there as its parameter does (channels-last).
    return torch.empty_like(parameter, dtype=tensor.dtype, requires_grad=False).copy_(tensor)
