"""Data sets as a grid names them: the options that all share, those without files, and a user's own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.experiment.spec_base import Flag, Int, Positive, Strict, refuse
from pipeline.experiment.user_files import source_of
from pipeline.lottery.embedded_data import EMBEDDED
from pipeline.recipes.augmentation import Augment
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.model_base import ImageShape

PIXELS = 100_000


@dataclass(frozen=True)
class Facts:
    """What planning must know of a data set before anything is selected from it."""

    whole: DataSet
    """All of it: what tells its content from another's."""
    shape: Callable[[], ImageShape]
    """Of an image. Raises UnfitError if the images have no size in common."""
    classes: int
    images: int
    """Training images."""
    counts: Callable[[], tuple[int, ...]]
    """Training images by label; asked for only where images are selected. Raises UnfitError if files are missing."""
    augment: Augment = Augment()
    """The default augmentation: the table of defaults in PAPERS.md."""
    location: str | None = None
    notes: tuple[str, ...] = ()
    """Sentences that a plan and a report show: what is unusual about it, though no mistake."""
    mixed: Callable[[], bool] = lambda: False
    """Whether grey images may be among coloured ones: the key then says that they become coloured, too."""


def counted(
    whole: DataSet,
    shape: ImageShape,
    counts: tuple[int, ...],
    augment: Augment | None = None,
    location: str | None = None,
    notes: tuple[str, ...] = (),
) -> Facts:
    """Facts of a data set whose training images are counted already, by label."""
    augment = augment or Augment()
    return Facts(whole, lambda: shape, len(counts), sum(counts), lambda: counts, augment, location, notes)


EACH = "each"


class Split(Strict):
    """The classes, split at random into `groups`; `part` is used.

    `seed: each`: every seed of the grid splits them in a way of its own, no two in the same (Van Soelen & Sheppard
    2019: ten unique splits).
    """

    groups: Annotated[Int, Field(ge=2, le=10_000)] = 2
    seed: Annotated[Int, Field(ge=0)] | Literal["each"] = 0
    part: Annotated[Int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _part_exists(self) -> Self:
        if self.part >= self.groups:
            raise refuse(
                f"part {self.part} does not exist: {self.groups} groups are parts 0 to {self.groups - 1}.", "part"
            )
        return self


class OwnSplit(Split):
    """That of one seed where each has its own."""


class Dataset(Strict):
    """Options, applied in this order: classes, split, half, per_class, validation, resize, crop, margin, channels."""

    classes: Annotated[tuple[Annotated[Int, Field(ge=0)], ...], Field(min_length=1)] | None = None
    split: Split | None = None
    half: Literal["a", "b"] | None = None
    per_class: Positive | None = None
    validation: Positive | None = None
    """Training images that are held out: losses are measured on them, nothing is trained on them."""
    resize: Annotated[Positive, Field(le=PIXELS)] | None = None
    """The shorter side in pixels."""
    crop: Annotated[Positive, Field(le=PIXELS)] | None = None
    """The side of the centred square."""
    margin: Annotated[Positive, Field(le=PIXELS)] | None = None
    """Pixels around it that are kept: training may see other windows of its size (`augment: {window: true}`)."""
    channels: Literal[1, 3] | None = None
    normalized: Flag = True
    """Whether models see pixels minus their mean over their standard deviation; otherwise pixels in [0, 1]."""

    @property
    def one_size(self) -> bool:
        """Whether all images are known to have one size, so that a resize or a crop to it changes nothing."""
        return False

    @property
    def square(self) -> int | None:
        """Side to which pictures of any size are resized and cropped, if models see the middle of that."""
        return None

    @model_validator(mode="after")
    def _margin_of_a_crop(self) -> Self:
        if self.margin is not None and (self.crop is None or self.square is not None):
            raise refuse(
                "keeps pixels around a crop: give crop, too."
                if self.square is None
                else f"{self.square}x{self.square} pixels are kept anyway: leave it out.",
                "margin",
            )
        return self

    @model_validator(mode="after")
    def _classes_once(self) -> Self:
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise refuse("a class is given twice.", "classes")
        return self

    @property
    def is_of_each_seed(self) -> bool:
        """Whether every seed selects images of its own."""
        return self.split is not None and self.split.seed == EACH

    def of_seed(self, seed: int) -> Self:
        """The data set as one seed of the grid selects it."""
        if self.split is None or not self.is_of_each_seed:
            return self
        return self.model_copy(update={"split": OwnSplit(groups=self.split.groups, seed=seed, part=self.split.part)})

    def facts(self, root: Path) -> Facts:
        """Raises UnfitError if files are missing or not what they should be."""
        raise NotImplementedError


class EmbeddedData(Dataset):
    """One that needs no files."""

    name: str
    if not TYPE_CHECKING:
        name: Literal[(*EMBEDDED,)]

    @property
    def one_size(self) -> bool:
        return True

    def facts(self, root: Path) -> Facts:
        known = EMBEDDED[self.name]
        return counted(DataSet(self.name), known.shape, known.counts, known.augment)


class UserData(Dataset):
    """A function in a file of the user's. Planning has to call it to know its images, and so needs torch for it."""

    name: Literal["user"] = "user"
    source: str
    """`file.py:function`."""

    def facts(self, root: Path) -> Facts:
        file, function, digest = source_of(self.source)
        whole = DataSet(self.name, function=function, source=digest)
        key = (str(file), digest, str(root))
        if key not in _user_facts:
            _user_facts[key] = _measured(whole, root, str(file))
        shape, counts = _user_facts[key]
        return counted(whole, shape, counts, location=str(file))


_user_facts: dict[tuple[str, str, str], tuple[ImageShape, tuple[int, ...]]] = {}


def _measured(data: DataSet, root: Path, file: str) -> tuple[ImageShape, tuple[int, ...]]:
    from pipeline.lottery.data import load

    try:
        images = load(data, root, file)
    except (ValueError, LookupError) as error:
        raise UnfitError(f"the data set cannot be loaded: {error}", "name") from error
    _, channels, height, width = images.train_x.shape
    return (channels, height, width), tuple(images.train_y.bincount(minlength=images.classes).tolist())
