"""What a pruning ranks by: built-in criteria by name, of weights and of whole hidden units, and a user's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pipeline.recipes.fields import Keyed
from pipeline.recipes.options import Always, OneOf

OF_WEIGHTS = ("magnitude",)
OF_UNITS = ("input-magnitude", "output-magnitude", "magnitude-product")


@dataclass(frozen=True, slots=True)
class BuiltInCriterion(Keyed):
    name: Annotated[str, OneOf(OF_WEIGHTS + OF_UNITS), Always] = "magnitude"


@dataclass(frozen=True, slots=True)
class UserCriterion(Keyed):
    """A function in a file of the user's."""

    name: ClassVar[str] = "user"

    function: str
    source: str
    """SHA-256 of the file."""


Criterion = BuiltInCriterion | UserCriterion


def criterion_from(fields: object) -> Criterion:
    """Raises UnfitError."""
    own = isinstance(fields, Mapping) and fields.get("name") == UserCriterion.name
    return UserCriterion.from_fields(fields) if own else BuiltInCriterion.from_fields(fields)
