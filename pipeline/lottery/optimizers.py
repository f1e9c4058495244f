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
    return OPTIMIZERS[name](parameters, fused=True, **options)


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
