"""A user's own model: a class in a file of theirs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pipeline.recipes.errors import made


@dataclass(frozen=True)
class UserModel:
    """Where its file lies is no part of it."""

    name: ClassVar[str] = "user"

    class_name: str
    source: str
    """SHA-256 of the file."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What the class is called with besides images and classes: the user's own words."""
    output_layer: str | None = None
    """The module whose outputs are the class scores, where neither the class itself nor its last Linear says so."""

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "UserModel":
        """Raises UnfitError."""
        own = {"class_name" if name == "class" else name: value for name, value in fields.items() if name != "name"}
        return made(cls, own, "A user's model")

    def features(self) -> dict[str, Any]:
        """The fields that name it in random streams: not what is called its output layer."""
        fields = {"name": self.name, "class": self.class_name, "source": self.source}
        return {**fields, "arguments": self.arguments} if self.arguments else fields

    def fields(self) -> dict[str, Any]:
        named = {} if self.output_layer is None else {"output_layer": self.output_layer}
        return self.features() | named
