"""A user's own model: a class in a file of theirs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pipeline.recipes.fields import Fields, Keyed
from pipeline.recipes.options import Called


@dataclass(frozen=True)
class UserModel(Keyed):
    """Where its file lies is no part of it."""

    name: ClassVar[str] = "user"

    class_name: Annotated[str, Called("class")]
    source: str
    """SHA-256 of the file."""
    arguments: Mapping[str, object] = field(default_factory=dict)
    """What the class is called with besides images and classes: the user's own words."""
    output_layer: str | None = None
    """The module whose outputs are the class scores, where neither the class itself nor its last Linear says so."""

    def features(self) -> Fields:
        """The fields that name it in random streams: not what is called its output layer."""
        return {key: value for key, value in self.fields().items() if key != "output_layer"}
