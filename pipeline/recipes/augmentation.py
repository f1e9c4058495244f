"""How training images are changed at random."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.recipes.errors import UnfitError, made


@dataclass(frozen=True, slots=True)
class Augment:
    """Random horizontal flip, a random crop after zero-padding by `crop` pixels, a resized crop or a window."""

    flip: bool = False
    crop: int = 0
    resized_crop: bool = False
    """A random box of 8 to 100 % of the image, resized to the size that the model sees."""
    window: bool = False
    """What the model sees lies anywhere in what is stored, not in its middle."""

    def __post_init__(self) -> None:
        for other in ("crop", "window"):
            if getattr(self, other) and self.resized_crop:
                raise UnfitError("cannot go with a resized crop: remove one of the two.", other)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Augment":
        return made(cls, fields, "An augmentation")

    def fields(self) -> dict[str, Any]:
        """What is on."""
        options = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in options.items() if value}
