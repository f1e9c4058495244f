"""Data sets without files, by name: what is in them. `data/NAME.py` makes each. Imports no torch."""

from dataclasses import dataclass

from pipeline.recipes.augmentation import Augment
from pipeline.recipes.model_base import ImageShape


@dataclass(frozen=True)
class Embedded:
    shape: ImageShape
    """Of every image."""
    counts: tuple[int, ...]
    """Training images by label."""
    augment: Augment = Augment()
    """By default."""


EMBEDDED = {
    "digits": Embedded((1, 8, 8), (143, 146, 142, 147, 145, 146, 145, 144, 140, 144), Augment(crop=1)),
    "xor": Embedded((1, 1, 2), (2, 2)),
}
