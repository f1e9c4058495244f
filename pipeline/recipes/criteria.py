"""What a pruning ranks by: built-in criteria by name, of weights and of whole hidden units, and a user's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.recipes.errors import check_one_of, made

OF_WEIGHTS = ("magnitude",)
OF_UNITS = ("input-magnitude", "output-magnitude", "magnitude-product")


@dataclass(frozen=True, slots=True)
class BuiltInCriterion:
    name: str = "magnitude"

    def __post_init__(self) -> None:
        check_one_of("A criterion", self.name, OF_WEIGHTS + OF_UNITS)

    def fields(self) -> dict[str, Any]:
        return {"name": self.name}


@dataclass(frozen=True, slots=True)
class UserCriterion:
    """A function in a file of the user's."""

    function: str
    source: str
    """SHA-256 of the file."""

    def fields(self) -> dict[str, Any]:
        return {"name": "user", "function": self.function, "source": self.source}


Criterion = BuiltInCriterion | UserCriterion


def criterion_from(fields: Mapping[str, Any]) -> Criterion:
    """Raises UnfitError."""
    if fields.get("name") != "user":
        return made(BuiltInCriterion, fields, "A criterion")
    return made(UserCriterion, {name: fields[name] for name in fields if name != "name"}, "A user's criterion")
