"""A data set as a training uses it: which one, what was selected from it, and what its images become."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.recipes.errors import UnfitError
from pipeline.recipes.fields import Keyed
from pipeline.recipes.options import Natural, OneOf, Positive


@dataclass(frozen=True)
class DataSet(Keyed):
    """Where it lies is no part of it. Options are applied in this order: classes to channels."""

    name: str
    fingerprint: str | None = None
    """Of the content of files that have no name of their own."""
    image: str = "image"
    label: str = "label"
    """Columns of Parquet files."""
    labels: str | None = None
    """Digest of the names of labels that are strings."""
    orientation: str | None = None
    """`exif`: pictures are turned as they say."""
    function: str | None = None
    source: str | None = None
    """A user's own: the function's name, and the SHA-256 of its file."""
    classes: tuple[int, ...] | None = None
    """Original labels that are kept; the place in this list is the new label."""
    half: Annotated[str, OneOf(("a", "b"))] | None = None
    per_class: Positive | None = None
    validation: Natural = 0
    """Training images that are held out."""
    resize: Positive | None = None
    """The shorter side in pixels."""
    crop: Positive | None = None
    """The side of the centred square."""
    margin: Natural = 0
    """Pixels around it that are kept."""
    channels: Positive | None = None
    normalized: bool = True

    def check(self) -> None:
        if self.margin and self.crop is None:
            raise UnfitError("A margin keeps pixels around a crop: give crop, too.")
