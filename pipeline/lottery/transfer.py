"""Where a training run starts from: fresh weights, a ticket of this or another source, or a random ticket.

The ticket is mask AND weights: both travel to the target (Morcos et al. 2019, section 3.3), and the output layer is
redrawn there. All other tensors (biases, batch norm with its running statistics) travel with a winning ticket; in a
random ticket whose weights are redrawn they are fresh.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pipeline.lottery.controls import RandomTicket, mask_at, moved, places
from pipeline.lottery.layers import counted, head, is_below, maskable
from pipeline.lottery.models import initialize, model_id
from pipeline.recipes.starts import Dense, FromCount, FromTicket
from pipeline.recipes.training import Train


def starting_point(model: nn.Module, recipe: Train, inputs: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Put the start of `recipe` into `model` (built, on the CPU, values of no account) and return its mask.

    `inputs`: "mask" {name: bool tensor} and "weights" {name: tensor, the whole state}, as far as the start refers to
    them; they are only read, values are copied. The mask has one bool tensor for each prunable weight (or of the
    start's `layers`: others stay whole), in model order, and pruned weights are exactly 0 in `model`; it is empty for a
    dense start. A dense start with a `draw` is initialized anew for each.

    Raises ValueError for weights or masks that do not fit the model, and LookupError for an input that was not given.
    """
    start, network = recipe.start, recipe.configuration.model
    own = ("draw", start.draw) if isinstance(start, Dense) and start.draw else ()
    initialize(model, recipe.seed, network, "init", *own)
    layers: dict[str, Tensor] = {**counted(model, start.layers)}
    if isinstance(start, Dense):
        return {}
    mask = None
    if "mask" in start.inputs:
        mask = _fitting(_input(inputs, "mask"), layers, model, redrawn=_redraws_head(start))
    if "weights" in start.inputs and (start.control is None or start.control.weights != "redrawn"):
        weights = _input(inputs, "weights")
        copy_state(model, weights, head_tensors(model, weights) if _redraws_head(start) else ())
    if start.control is not None:
        survivors = start.survivors if isinstance(start, FromCount) else _count(mask)
        ticket = RandomTicket(start.control, recipe.seed, model_id(network), survivors, recipe.round)
        mask = _randomize(model, recipe, start, layers, ticket, mask)
    return apply_mask(layers, mask) if mask is not None else {}


def _redraws_head(start: FromTicket | FromCount) -> bool:
    return isinstance(start, FromTicket) and start.redraws_head


def _count(mask: Mapping[str, Tensor] | None) -> int:
    return sum(int(kept.sum()) for kept in (mask or {}).values())


def head_tensors(model: nn.Module, given: Iterable[str] = ()) -> list[str]:
    """Names of all tensors of the head in the model's state, and among the names `given`: a head may differ there."""
    own = head(model)
    return [name for name in dict.fromkeys([*model.state_dict(), *given]) if is_below(name, own)]


def copy_state(model: nn.Module, weights: Mapping[str, Tensor], leave: Collection[str] = ()) -> None:
    """Copy a whole state into a model of the same architecture, but for the tensors named in `leave`.

    Raises ValueError, before anything is copied, that names what is missing, unknown, or of another shape or kind.
    """
    copy_into(model.state_dict(), weights, leave, type(model).__name__)


def copy_into(
    whole: Mapping[str, Any], weights: Mapping[str, Tensor], leave: Collection[str] = (), model: str = "model"
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


def apply_mask(layers: Mapping[str, Tensor], mask: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Set the pruned weights of `layers` to exactly 0, whatever they were; the mask, in the order of `layers`."""
    with torch.no_grad():
        for name, weight in layers.items():
            weight.masked_fill_(~mask[name].to(weight.device), 0)
    return {name: mask[name] for name in layers}


def _input(inputs: Mapping[str, Mapping[str, Tensor]], role: str) -> Mapping[str, Tensor]:
    if role not in inputs:
        raise LookupError(f"The stage starts from {role} of another stage, which were not given to it.")
    return inputs[role]


def _fitting(
    mask: Mapping[str, Tensor], layers: Mapping[str, Tensor], model: nn.Module, *, redrawn: bool
) -> dict[str, Tensor]:
    if set(mask) != set(layers):
        raise ValueError(
            f"The mask must cover these weights of this {type(model).__name__}: {', '.join(layers)}; "
            f"it covers {', '.join(mask)}. Is the output layer pruned in one and not in the other?"
        )
    for name, weight in layers.items():
        if mask[name].shape != weight.shape:
            cause = (
                " A pruned output layer cannot be redrawn for another number of classes: leave it out of the pruning."
                if redrawn and name in head_tensors(model)
                else ""
            )
            raise ValueError(
                f"The mask of {name} is {list(mask[name].shape)}, the weights are {list(weight.shape)}.{cause}"
            )
    return {name: mask[name].cpu() for name in layers}


def _randomize(
    model: nn.Module,
    recipe: Train,
    start: FromTicket | FromCount,
    layers: Mapping[str, Tensor],
    ticket: RandomTicket,
    mask: Mapping[str, Tensor] | None,
) -> dict[str, Tensor]:
    """Give `layers` the weights of the random `ticket` and return its mask; `mask` is that of the ticket it is of."""
    shapes = {name: weight.shape for name, weight in layers.items()}
    new = places(ticket, shapes, mask)
    if ticket.control.weights == "redrawn":
        _redraw(model, recipe, start, ticket)
    elif ticket.control.weights == "shuffled":
        assert mask is not None  # as every control of weights that are kept
        with torch.no_grad():
            for name, value in moved(layers, mask, new).items():
                layers[name].copy_(value)
    return mask_at(new, shapes)


def _redraw(model: nn.Module, recipe: Train, start: FromTicket | FromCount, ticket: RandomTicket) -> None:
    """All maskable weights from the ticket's stream; every other tensor, and a redrawn head, from the ordinary one."""
    layers, network = maskable(model, start.layers), recipe.configuration.model
    kept = head_tensors(model) if _redraws_head(start) else ()
    initialize(model, recipe.seed, network, "control", ticket.survivors, ticket.round, ticket.kinds, "weights")
    drawn = {name: weight.detach().clone() for name, weight in layers.items() if name not in kept}
    initialize(model, recipe.seed, network)
    with torch.no_grad():
        for name, value in drawn.items():
            layers[name].copy_(value)
