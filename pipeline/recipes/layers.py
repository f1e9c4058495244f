"""Which layers a mask is over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.recipes.errors import made

OF_MASK = ("layers", "included", "prunes_output")
"""The fields of a start that say it."""


@dataclass(frozen=True, slots=True)
class MaskedLayers:
    """Parameters that a mask covers, and that are counted: by default all weights of convolutions and linear layers."""

    layers: tuple[str, ...] | None = None
    """Those of them that are pruned where others are left whole."""
    included: tuple[str, ...] = ()
    """Parameters of a user's model that are pruned though they are no such weights."""
    prunes_output: bool = False
    """Whether the output layer's are among them."""

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "MaskedLayers":
        return made(cls, fields, "A choice of layers")

    def fields(self) -> dict[str, Any]:
        chosen: dict[str, Any] = {} if self.layers is None else {"layers": list(self.layers)}
        if self.included:
            chosen["included"] = list(self.included)
        if self.prunes_output:
            chosen["prunes_output"] = True
        return chosen
