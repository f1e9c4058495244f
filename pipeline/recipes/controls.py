"""What is random in a control: its mask, its weights or both (Morcos et al. 2019, appendix A.2)."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.recipes.fields import Keyed
from pipeline.recipes.options import Natural, OneOf

MASKS = ("preserved", "permuted-within-layers", "permuted-globally")
WEIGHTS = ("kept", "redrawn", "shuffled")


@dataclass(frozen=True, slots=True)
class Control(Keyed):
    """What becomes of a ticket's mask and of its weights."""

    mask: Annotated[str, OneOf(MASKS)]
    weights: Annotated[str, OneOf(WEIGHTS)]
    draw: Natural = 0
    """Of several controls of one ticket; the first one is nameless."""

    @property
    def counts_only(self) -> bool:
        """Whether it depends on nothing of a ticket but how many of its weights survive."""
        return self.mask == "permuted-globally" and self.weights == "redrawn"
