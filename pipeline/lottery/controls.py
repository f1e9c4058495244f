"""Random tickets: the mask preserved or permuted, crossed with weights kept, redrawn or shuffled.

Morcos et al. 2019, appendix A.2 and Figure A1; shuffled within layers is the second control of Frankle & Carbin 2018.
Only prunable weights are dealt with here; what becomes of all other tensors is `transfer.py`'s subject.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.lottery.randomness import generator
from pipeline.recipes.controls import Control
from pipeline.recipes.keys import canonical

Shapes = Mapping[str, torch.Size]
"""Shapes of the prunable weights by layer, in model order."""


@dataclass(frozen=True, slots=True)
class RandomTicket:
    """One draw of a control: how it is drawn, and the stream that it is drawn from."""

    control: Control
    seed: int
    model: str
    """As `models.model_id`."""
    survivors: int
    round: int

    @property
    def kinds(self) -> str:
        """Canonical JSON of what becomes of mask and weights, and of which draw it is but for the first."""
        return canonical(self.control.fields())

    @property
    def stream(self) -> tuple[str | int, ...]:
        """Names of its stream; what is drawn (`mask`, `weights`, by layer) is named after them."""
        return ("control", self.seed, self.model, self.survivors, self.round, self.kinds)


def places(ticket: RandomTicket, shapes: Shapes, mask: Mapping[str, Tensor] | None) -> Tensor:
    """Where the surviving weights are in the control: int64 [survivors], indices into all layers flattened and joined.

    The i-th is the new place of the i-th survivor of `mask` (in the order of layers and of flattened indices). A
    globally permuted mask is drawn from the count and the shapes alone, so that every source shares it: `mask` may be
    None then.

    Raises ValueError if there are more survivors than places.
    """
    total = sum(shape.numel() for shape in shapes.values())
    if not 0 <= ticket.survivors <= total:
        raise ValueError(f"{ticket.survivors} weights cannot survive of {total}.")
    if ticket.control.mask == "permuted-globally":
        return _draw(ticket, "mask", total)[: ticket.survivors]
    assert mask is not None  # as every control of another kind
    found, start = [torch.empty(0, dtype=torch.int64)], 0
    for name, shape in shapes.items():
        old = mask[name].cpu().reshape(-1).nonzero().squeeze(1)  # [survivors of this layer]
        if ticket.control.mask == "permuted-within-layers":
            new = _draw(ticket, f"mask {name}", shape.numel())[: len(old)]
        elif ticket.control.weights == "shuffled":
            new = old[_draw(ticket, f"weights {name}", len(old))]
        else:
            new = old
        found.append(new + start)
        start += shape.numel()
    return torch.cat(found)


def mask_at(new: Tensor, shapes: Shapes) -> dict[str, Tensor]:
    """The mask whose survivors are at the places `new` [survivors]."""
    flat = torch.zeros(sum(shape.numel() for shape in shapes.values()), dtype=torch.bool)
    flat[new] = True
    return _by_layer(flat, shapes)


def moved(weights: Mapping[str, Tensor], mask: Mapping[str, Tensor], new: Tensor) -> dict[str, Tensor]:
    """The surviving values of `weights`, each at its new place; 0 elsewhere. `mask`: where they survive now."""
    shapes = {name: mask[name].shape for name in mask}
    values = torch.cat([weights[name].detach().cpu()[mask[name].cpu()] for name in mask])  # [survivors]
    flat = torch.zeros(sum(shape.numel() for shape in shapes.values()), dtype=values.dtype)
    flat[new] = values
    return _by_layer(flat, shapes)


def _draw(ticket: RandomTicket, what: str, n: int) -> Tensor:
    return torch.randperm(n, generator=generator(*ticket.stream, what))


def _by_layer(flat: Tensor, shapes: Shapes) -> dict[str, Tensor]:
    parts = torch.split(flat, [shape.numel() for shape in shapes.values()])
    return {name: part.reshape(shape).clone() for (name, shape), part in zip(shapes.items(), parts, strict=True)}
