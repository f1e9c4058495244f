"""What a pruning ranks by: built-in criteria by name, of weights and of whole hidden units, and a user's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.recipes.errors import check_one_of, made

OF_WEIGHTS: dict[str, tuple[str, ...]] = {"magnitude": ()}
"""What each needs beside the trained weights and their mask: ("initial",), the weights that the training began with."""
SCORE = ("trained", "initial", "mask")
"""What the function of a criterion of weights is given: each a mapping from layers to tensors."""
OF_UNITS = ("input-magnitude", "output-magnitude", "magnitude-product")


@dataclass(frozen=True, slots=True)
class BuiltInCriterion:
    name: str = "magnitude"

    def __post_init__(self) -> None:
        check_one_of("A criterion", self.name, (*OF_WEIGHTS, *OF_UNITS))

    @property
    def needs(self) -> tuple[str, ...]:
        """As `OF_WEIGHTS` has it; those of units need nothing more."""
        return OF_WEIGHTS.get(self.name, ())

    def fields(self) -> dict[str, Any]:
        return {"name": self.name}


@dataclass(frozen=True, slots=True)
class UserCriterion:
    """A function in a file of the user's."""

    function: str
    source: str
    """SHA-256 of the file."""

    needs: ClassVar[tuple[str, ...]] = ("initial",)
    """All there is: the function says nothing of what it does not use."""

    def fields(self) -> dict[str, Any]:
        return {"name": "user", "function": self.function, "source": self.source}


Criterion = BuiltInCriterion | UserCriterion


def criterion_from(fields: Mapping[str, Any]) -> Criterion:
    """Raises UnfitError."""
    if fields.get("name") != "user":
        return made(BuiltInCriterion, fields, "A criterion")
    return made(UserCriterion, {name: fields[name] for name in fields if name != "name"}, "A user's criterion")
