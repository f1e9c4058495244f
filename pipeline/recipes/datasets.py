"""A data set as a training uses it: which one, what was selected from it, and what its images become."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.recipes.errors import UnfitError, check_count, made


@dataclass(frozen=True)
class DataSet:
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
    half: str | None = None
    per_class: int | None = None
    validation: int = 0
    """Training images that are held out."""
    resize: int | None = None
    """The shorter side in pixels."""
    crop: int | None = None
    """The side of the centred square."""
    margin: int = 0
    """Pixels around it that are kept."""
    channels: int | None = None
    normalized: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise UnfitError(f"A data set has a name, not {self.name!r}.")
        if self.half not in (None, "a", "b"):
            raise UnfitError(f"half: {self.half!r} must be 'a' or 'b'.")
        for option in ("per_class", "resize", "crop", "channels"):
            if getattr(self, option) is not None:
                check_count(option, getattr(self, option))
        check_count("number of validation images", self.validation, 0)
        check_count("margin", self.margin, 0)
        if self.margin and self.crop is None:
            raise UnfitError("A margin keeps pixels around a crop: give crop, too.")

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "DataSet":
        return made(cls, fields, "A data set")

    def fields(self) -> dict[str, Any]:
        """What is not at its default."""
        known = self.__dataclass_fields__
        told = {name: getattr(self, name) for name in known}
        chosen = {name: value for name, value in told.items() if name == "name" or value != known[name].default}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in chosen.items()}
