"""What a training starts from: a fresh network, a ticket of another training, or a count of surviving weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.recipes.controls import Control
from pipeline.recipes.errors import UnfitError, check_count, made
from pipeline.recipes.layers import OF_MASK, MaskedLayers
from pipeline.recipes.references import Reference


@dataclass(frozen=True, slots=True)
class Dense:
    """The dense network, initialized from the seed; a further `draw` of it has an initialization of its own."""

    draw: int = 0

    def __post_init__(self) -> None:
        check_count("draw of a dense network", self.draw, 0)

    @property
    def layers(self) -> MaskedLayers:
        return MaskedLayers()

    @property
    def inputs(self) -> dict[str, Reference]:
        return {}

    def fields(self) -> dict[str, Any]:
        return {"draw": self.draw} if self.draw else {}


@dataclass(frozen=True, slots=True)
class FromTicket:
    """The mask of a pruning, weights of a training, or both; or a control of them."""

    mask: Reference | None = None
    weights: Reference | None = None
    """None: the initialization, which the seed gives."""
    redraws_head: bool = False
    control: Control | None = None
    layers: MaskedLayers = MaskedLayers()

    def __post_init__(self) -> None:
        if self.mask is None and self.control is not None:
            raise UnfitError("A control needs the mask of a ticket or a count of survivors.")
        if self.mask is None and self.weights is None:
            raise UnfitError("A ticket has a mask, weights or both.")

    @property
    def inputs(self) -> dict[str, Reference]:
        given = {} if self.mask is None else {"mask": self.mask}
        if self.weights is not None:
            given["weights"] = self.weights
        return given

    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {role: reference.fields() for role, reference in self.inputs.items()}
        if self.redraws_head:
            fields["head"] = "redraw"
        if self.control is not None:
            fields["control"] = self.control.fields()
        return fields | self.layers.fields()


@dataclass(frozen=True, slots=True)
class FromCount:
    """A random ticket that depends on nothing but how many weights survive, so that every source shares it."""

    survivors: int
    control: Control
    layers: MaskedLayers = MaskedLayers()

    def __post_init__(self) -> None:
        check_count("number of survivors", self.survivors, 0)
        if self.control.mask != "permuted-globally":
            raise UnfitError(
                f"A control whose mask is {self.control.mask} needs the ticket's mask, not only its count."
            )
        if self.control.weights == "shuffled":
            raise UnfitError("A control that shuffles weights needs the ticket's mask: values move with their places.")

    @property
    def inputs(self) -> dict[str, Reference]:
        return {}

    def fields(self) -> dict[str, Any]:
        return {"survivors": self.survivors, "control": self.control.fields(), **self.layers.fields()}


Start = Dense | FromTicket | FromCount


def start_from(fields: Mapping[str, Any]) -> Start:
    """The start that a train stage's `start` describes; the dense network where it is empty. Raises UnfitError."""
    if fields.keys() <= {"draw"}:
        return made(Dense, fields, "A dense start")
    own = {name: value for name, value in fields.items() if name not in OF_MASK}
    own["layers"] = MaskedLayers.from_fields({name: fields[name] for name in OF_MASK if name in fields})
    if "control" in own:
        own["control"] = Control.from_fields(own["control"])
    if "survivors" in own:
        if "control" not in own:
            raise UnfitError("A start that has only a count of survivors needs the control that is drawn from it.")
        return made(FromCount, own, "A random ticket")
    for role in {"mask", "weights"} & own.keys():
        own[role] = Reference.from_fields(own[role])
    if "head" in own:
        if own.pop("head") != "redraw":
            raise UnfitError(f"The head of a start is redrawn or as it was, not {fields['head']!r}.")
        own["redraws_head"] = True
    return made(FromTicket, own, "A ticket")
