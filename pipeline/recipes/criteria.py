"""What a pruning ranks by: built-in criteria by name, of weights and of whole hidden units, and a user's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pipeline.recipes.fields import Keyed
from pipeline.recipes.options import Always, OneOf

OF_WEIGHTS: dict[str, tuple[str, ...]] = {"magnitude": ()}
"""What each needs beside the trained weights and their mask: ("initial",), the weights that the training began with."""
SCORE = ("trained", "initial", "mask")
"""What the function of a criterion of weights is given: each a mapping from layers to tensors."""
OF_UNITS = ("input-magnitude", "output-magnitude", "magnitude-product")


@dataclass(frozen=True, slots=True)
class BuiltInCriterion(Keyed):
    name: Annotated[str, OneOf((*OF_WEIGHTS, *OF_UNITS)), Always] = "magnitude"

    @property
    def needs(self) -> tuple[str, ...]:
        """As `OF_WEIGHTS` has it; those of units need nothing more."""
        return OF_WEIGHTS.get(self.name, ())


@dataclass(frozen=True, slots=True)
class UserCriterion(Keyed):
    """A function in a file of the user's."""

    name: ClassVar[str] = "user"

    function: str
    source: str
    """SHA-256 of the file."""

    needs: ClassVar[tuple[str, ...]] = ("initial",)
    """All there is: the function says nothing of what it does not use."""


Criterion = BuiltInCriterion | UserCriterion


def criterion_from(fields: object) -> Criterion:
    """Raises UnfitError."""
    own = isinstance(fields, Mapping) and fields.get("name") == UserCriterion.name
    return UserCriterion.from_fields(fields) if own else BuiltInCriterion.from_fields(fields)
