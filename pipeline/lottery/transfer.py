"""Where a training run starts from: fresh weights, a ticket of this or another source, or a random ticket.

The ticket is mask AND weights: both travel to the target (Morcos et al. 2019, section 3.3), and the output layer is
redrawn there. All other tensors (biases, batch norm with its running statistics) travel with a winning ticket; in a
random ticket whose weights are redrawn they are fresh.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.lottery.batch_norm import group_batch_norm
from pipeline.lottery.controls import RandomTicket, mask_at, moved, places
from pipeline.lottery.freezing import freeze_features
from pipeline.lottery.layers import counted, head, is_below, maskable
from pipeline.lottery.models import build, initialize, model_id
from pipeline.lottery.weights import copy_state
from pipeline.recipes.starts import Dense, FromCount, FromTicket
from pipeline.recipes.training import Train

Tensors = Mapping[str, Tensor]


def network(
    recipe: Train, inputs: Mapping[str, Tensors], device: torch.device, model_file: str | Path | None
) -> tuple[nn.Module, dict[str, Tensor]]:
    """The network of `recipe` on `device`, ready to be trained, and its mask, both as `starting_point` has them."""
    of = recipe.configuration
    model = build(of.model, of.input, of.classes, model_file)
    mask = starting_point(model, recipe, inputs)
    model.to(device)
    if of.channels_last:
        model.to(memory_format=torch.channels_last)
    if of.groups_a_worker is not None:
        group_batch_norm(model, of.groups_a_worker)
    model.train()
    if of.frozen is not None:
        freeze_features(model)
    return model, mask


def starting_point(model: nn.Module, recipe: Train, inputs: Mapping[str, Tensors]) -> dict[str, Tensor]:
    """Put the start of `recipe` into `model` (built, on the CPU, values of no account) and return its mask.

    `inputs`: "mask" {name: bool tensor} and "weights" {name: tensor, the whole state}, as far as the start refers to
    them; they are only read, values are copied. The mask has one bool tensor for each prunable weight (or of the
    start's `layers`: others stay whole), in model order, and pruned weights are exactly 0 in `model`; it is empty for a
    dense start. A dense start with a `draw` is initialized anew for each.

    Raises ValueError for weights or masks that do not fit the model, and LookupError for an input that was not given.
    """
    start, of = recipe.start, recipe.configuration.model
    draw = ("draw", start.draw) if isinstance(start, Dense) and start.draw else ()
    initialize(model, recipe.seed, of, "init", *draw)
    if isinstance(start, Dense):
        return {}
    layers, control = counted(model, start.layers), start.control
    fresh_head = head(model) if isinstance(start, FromTicket) and start.redraws_head else None
    mask = _fitting(_input(inputs, "mask"), layers, model, fresh_head) if "mask" in start.inputs else None
    if "weights" in start.inputs and (control is None or control.weights != "redrawn"):
        weights = _input(inputs, "weights")
        copy_state(model, weights, _below(fresh_head, [*model.state_dict(), *weights]))
    if control is not None:
        survivors = start.survivors if isinstance(start, FromCount) else _count(mask)
        ticket = RandomTicket(control, recipe.seed, model_id(of), survivors, recipe.round)
        mask = _randomize(model, recipe, ticket, layers, mask, fresh_head)
    return apply_mask(layers, mask) if mask is not None else {}


def apply_mask(layers: Tensors, mask: Tensors) -> dict[str, Tensor]:
    """Set the pruned weights of `layers` to exactly 0, whatever they were; the mask, in the order of `layers`."""
    with torch.no_grad():
        for name, weight in layers.items():
            weight.masked_fill_(~mask[name].to(weight.device), 0)
    return {name: mask[name] for name in layers}


def _count(mask: Tensors | None) -> int:
    return sum(int(kept.sum()) for kept in (mask or {}).values())


def _input(inputs: Mapping[str, Tensors], role: str) -> Tensors:
    if role not in inputs:
        raise LookupError(f"The stage starts from {role} of another stage, which were not given to it.")
    return inputs[role]


def _below(module: str | None, names: Iterable[str]) -> set[str]:
    """Those of tensors in `module`; None without one."""
    return set() if module is None else {name for name in names if is_below(name, module)}


def _fitting(mask: Tensors, layers: Tensors, model: nn.Module, fresh_head: str | None) -> dict[str, Tensor]:
    """The mask on the CPU, in the order of `layers`. Raises ValueError unless it fits them."""
    if set(mask) != set(layers):
        raise ValueError(
            f"The mask must cover these weights of this {type(model).__name__}: {', '.join(layers)}; "
            f"it covers {', '.join(mask)}. Is the output layer pruned in one and not in the other?"
        )
    for name, weight in layers.items():
        if mask[name].shape != weight.shape:
            cause = (
                " A pruned output layer cannot be redrawn for another number of classes: leave it out of the pruning."
                if _below(fresh_head, [name])
                else ""
            )
            raise ValueError(
                f"The mask of {name} is {list(mask[name].shape)}, the weights are {list(weight.shape)}.{cause}"
            )
    return {name: mask[name].cpu() for name in layers}


def _randomize(
    model: nn.Module,
    recipe: Train,
    ticket: RandomTicket,
    layers: Tensors,
    mask: Tensors | None,
    fresh_head: str | None,
) -> dict[str, Tensor]:
    """Give `model` the weights of the random `ticket` and return its mask; `mask` is that of the ticket it is of."""
    shapes = {name: weight.shape for name, weight in layers.items()}
    new = places(ticket, shapes, mask)
    values: Tensors = {}
    if ticket.control.weights == "redrawn":
        values = _redrawn(model, recipe, ticket, fresh_head)
    elif ticket.control.weights == "shuffled":
        assert mask is not None  # as every control of weights that are kept
        values = moved(layers, mask, new)
    parameters = dict(model.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        for name, value in values.items():
            parameters[name].copy_(value)
    return mask_at(new, shapes)


def _redrawn(model: nn.Module, recipe: Train, ticket: RandomTicket, fresh_head: str | None) -> dict[str, Tensor]:
    """All maskable weights from the ticket's stream; `model` is left with every other tensor, and a fresh head, from
    the ordinary one."""
    of = recipe.configuration.model
    initialize(model, recipe.seed, of, "control", ticket.survivors, ticket.round, ticket.kinds, "weights")
    layers = maskable(model, recipe.start.layers)
    drawn = {name: layers[name].detach().clone() for name in layers.keys() - _below(fresh_head, layers)}
    initialize(model, recipe.seed, of)
    return drawn
