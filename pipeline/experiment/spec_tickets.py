"""What is evaluated: the winning ticket and its random controls."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.experiment.spec_base import Positive, SideName, Strict, refuse
from pipeline.experiment.spec_pruning import Start
from pipeline.experiment.suggestions import did_you_mean
from pipeline.recipes.controls import MASKS, WEIGHTS

Head = Literal["auto", "keep", "redraw"]
if TYPE_CHECKING:
    Mask = str
    Weights = str
else:
    Mask, Weights = Literal[MASKS], Literal[WEIGHTS]


class TicketKind(Strict):
    """What is evaluated at each round: the winning ticket, or a control that randomizes its mask, its weights or both.

    A preserved mask keeps its weights by default, a permuted one has them redrawn. `start`: the weights it starts from,
    by default what the chain rewinds to; `final` and `early-stop` are those of round 0 at its end and at its record
    with the smallest validation loss, `trained` those the mask was made from, `redrawn` is `weights: redrawn`.
    """

    name: SideName
    mask: Mask = "preserved"
    weights: Weights = "kept"
    start: Start | None = None
    head: Head | None = None
    draws: Annotated[Positive, Field(le=1000)] = 1
    """How many times a control is drawn anew for each ticket; averaged within a seed, which stays the unit."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        moved = raw.get("mask", "preserved") != "preserved"
        redrawn = raw.get("start") == "redrawn"
        if redrawn and raw.get("weights", "redrawn") != "redrawn":
            raise refuse(f"redrawn weights cannot be {raw['weights']!r} too.", "start")
        return {"weights": "redrawn" if moved or redrawn else "kept", **raw}

    @model_validator(mode="after")
    def _start_matters(self) -> Self:
        if self.weights == "redrawn" and self.start not in (None, "redrawn"):
            raise refuse("redrawn weights start from nothing: remove start, or set weights: kept.", "start")
        if self.draws > 1 and self.is_winning:
            raise refuse("is of controls: nothing in a winning ticket is drawn.", "draws")
        return self

    @property
    def is_winning(self) -> bool:
        return self.mask == "preserved" and self.weights == "kept"

    @property
    def counts_only(self) -> bool:
        """Whether the ticket depends on nothing but how many weights survive."""
        return self.mask == "permuted-globally" and self.weights == "redrawn"


TICKETS = {"winning": {"name": "winning"}, "random": {"name": "random", "mask": "permuted-globally"}}
"""Tickets that a grid may name: the winning one, and Morcos et al.'s random one, its weights redrawn as well."""


def named_ticket(raw: object) -> object:
    if isinstance(raw, str):
        if raw not in TICKETS:
            raise refuse(
                f"unknown ticket {raw!r}.{did_you_mean(raw, TICKETS)} A control of your own is a mapping with a name."
            )
        return TICKETS[raw]
    return raw
