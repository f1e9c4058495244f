"""SGD and Adam with step decay, as a stage's fields describe them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from pipeline.lottery.checkpoint import State, copied

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"sgd": SGD, "adam": Adam}


def build_optimizer(fields: Mapping[str, Any], parameters: Iterable[nn.Parameter]) -> Optimizer:
    """The optimizer of `fields` ({"name": "sgd", "lr": 0.1, ...}); weight decay is L2 in the gradient for both.

    Raises ValueError for an unknown name.
    """
    options = dict(fields)
    name = options.pop("name")
    if name not in OPTIMIZERS:
        raise ValueError(f"Unknown optimizer {name!r}: use one of {', '.join(OPTIMIZERS)}.")
    # Fused: LeNet-300-100 on one core, 0.18 ms a step instead of 0.46 (SGD with momentum and decay), 0.34 instead of
    # 0.74 (Adam); plain SGD does not differ.
    optimizer = OPTIMIZERS[name](parameters, fused=True, **options)
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


def learning_rate(fields: Mapping[str, Any], iteration: int) -> float:
    """The learning rate of the iteration after `iteration` iterations: lr * factor^(milestones passed), or the rate
    that is given for the last milestone passed."""
    lr: float = fields["optimizer"]["lr"]
    decay = fields.get("lr_decay")
    if decay is None:
        return lr
    passed = sum(iteration >= milestone for milestone in decay["at"])
    if "to" in decay:
        return float(([lr, *decay["to"]])[passed])
    return float(lr * decay["factor"] ** passed)


def state_of(optimizer: Optimizer) -> dict[int, State]:
    """A copy of momenta and step counts, by the parameter's position."""
    return {position: copied(state) for position, state in optimizer.state_dict()["state"].items()}


def restore(optimizer: Optimizer, states: Mapping[int, State]) -> None:
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
