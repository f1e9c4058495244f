"""What a training starts from: a fresh network, a ticket of another training, or a count of surviving weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pipeline.recipes.controls import Control
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.fields import Keyed
from pipeline.recipes.layers import MaskedLayers
from pipeline.recipes.options import Inline, Natural, OneOf
from pipeline.recipes.references import Reference

REDRAWN = "redraw"
"""What is done to a head that is drawn anew."""


@dataclass(frozen=True, slots=True)
class Dense(Keyed):
    """The dense network, initialized from the seed; a further `draw` of it has an initialization of its own."""

    draw: Natural = 0

    @property
    def layers(self) -> MaskedLayers:
        return MaskedLayers()

    @property
    def inputs(self) -> dict[str, Reference]:
        return {}


@dataclass(frozen=True, slots=True)
class FromTicket(Keyed):
    """The mask of a pruning, weights of a training, or both; or a control of them."""

    mask: Reference | None = None
    weights: Reference | None = None
    """None: the initialization, which the seed gives."""
    head: Annotated[str, OneOf((REDRAWN,))] | None = None
    """None: as it is among the weights."""
    control: Control | None = None
    layers: Annotated[MaskedLayers, Inline] = MaskedLayers()

    def check(self) -> None:
        if self.mask is None and self.control is not None:
            raise UnfitError("A control needs the mask of a ticket or a count of survivors.")
        if self.mask is None and self.weights is None:
            raise UnfitError("A ticket has a mask, weights or both.")

    @property
    def redraws_head(self) -> bool:
        return self.head is not None

    @property
    def inputs(self) -> dict[str, Reference]:
        return {role: read for role, read in (("mask", self.mask), ("weights", self.weights)) if read is not None}


@dataclass(frozen=True, slots=True)
class FromCount(Keyed):
    """A random ticket that depends on nothing but how many weights survive, so that every source shares it."""

    survivors: Natural
    control: Control
    layers: Annotated[MaskedLayers, Inline] = MaskedLayers()

    def check(self) -> None:
        if self.control.mask != "permuted-globally":
            raise UnfitError(
                f"A control whose mask is {self.control.mask} needs the ticket's mask, not only its count."
            )
        if self.control.weights == "shuffled":
            raise UnfitError("A control that shuffles weights needs the ticket's mask: values move with their places.")

    @property
    def inputs(self) -> dict[str, Reference]:
        return {}


Start = Dense | FromTicket | FromCount


def start_from(fields: object) -> Start:
    """The start that a train stage's `start` describes; the dense network where it is empty. Raises UnfitError."""
    if not isinstance(fields, Mapping) or fields.keys() <= {"draw"}:
        return Dense.from_fields(fields)
    return FromCount.from_fields(fields) if "survivors" in fields else FromTicket.from_fields(fields)
