"""How training images are changed at random."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.recipes.errors import UnfitError
from pipeline.recipes.fields import Keyed
from pipeline.recipes.options import Range


@dataclass(frozen=True, slots=True)
class Augment(Keyed):
    """Random horizontal flip, a random crop after zero-padding by `crop` pixels, a resized crop or a window."""

    flip: bool = False
    crop: Annotated[int, Range(0, 1000)] = 0
    resized_crop: bool = False
    """A random box of 8 to 100 % of the image, resized to the size that the model sees."""
    window: bool = False
    """What the model sees lies anywhere in what is stored (`dataset: {margin: 2}`), not in its middle."""

    def check(self) -> None:
        for other in ("crop", "window"):
            if getattr(self, other) and self.resized_crop:
                raise UnfitError("cannot go with a resized crop: remove one of the two.", other)
