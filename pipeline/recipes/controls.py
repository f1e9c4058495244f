"""What is random in a control: its mask, its weights or both (Morcos et al. 2019, appendix A.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.recipes.errors import check_count, check_one_of, made

MASKS = ("preserved", "permuted-within-layers", "permuted-globally")
WEIGHTS = ("kept", "redrawn", "shuffled")


@dataclass(frozen=True, slots=True)
class Control:
    """What becomes of a ticket's mask and of its weights."""

    mask: str
    weights: str
    draw: int = 0
    """Of several controls of one ticket; the first one is nameless."""

    def __post_init__(self) -> None:
        check_one_of("A control's mask", self.mask, MASKS)
        check_one_of("A control's weights", self.weights, WEIGHTS)
        check_count("draw of a control", self.draw, 0)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Control":
        return made(cls, fields, "A control, which says what becomes of the mask and of the weights,")

    @property
    def counts_only(self) -> bool:
        """Whether it depends on nothing of a ticket but how many of its weights survive."""
        return self.mask == "permuted-globally" and self.weights == "redrawn"

    def fields(self) -> dict[str, Any]:
        kinds: dict[str, Any] = {"mask": self.mask, "weights": self.weights}
        return kinds | {"draw": self.draw} if self.draw else kinds
