"""The catalogue: every data set a grid can name, and what a selection from it looks like to a model."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from pipeline.experiment.class_splits import part_of
from pipeline.experiment.datasets import Dataset, EmbeddedData, Facts, UserData
from pipeline.experiment.image_folders import ImageFolder
from pipeline.experiment.parquet_data import Parquet
from pipeline.experiment.published_data import HALVES, PublishedData
from pipeline.experiment.spec_base import refuse
from pipeline.recipes.augmentation import Augment
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.model_base import ImageShape


@dataclass(frozen=True)
class Data:
    """A data set as one side of a transfer uses it."""

    recipe: DataSet
    """What is in the key."""
    shape: ImageShape
    classes: int
    images: int
    """Training images, without those held out for validation."""
    augment: Augment
    location: str | None
    has_margin: bool = False
    """Whether more is stored than models see."""
    notes: tuple[str, ...] = ()
    """What a plan and a report say of it."""


def _spelled_out(raw: object) -> object:
    options = {"name": raw} if isinstance(raw, str) else raw
    if not isinstance(options, dict) or not isinstance(name := options.get("name"), str):
        return options
    if ".py:" in name:
        return {**options, "name": "user", "source": name}
    if name in HALVES:
        if options.get("half", HALVES[name]) != HALVES[name]:
            raise refuse(f"{name} is half {HALVES[name]} of cifar10: leave `half` out, or name cifar10.", "half")
        return {**options, "name": "cifar10", "half": HALVES[name]}
    return options


AnyDataset = Annotated[
    EmbeddedData | PublishedData | Parquet | ImageFolder | UserData,
    Field(discriminator="name"),
    BeforeValidator(_spelled_out),
]


def describe(dataset: Dataset, root: Path, channels: int | None) -> Data:
    """The data that `dataset` selects, with as many channels as the model insists on (None: native).

    Raises UnfitError for files that are missing, and for selections that are impossible.
    """
    facts = dataset.facts(root)
    chosen, kept = _chosen(dataset, facts)
    images = _selected(dataset, facts, kept)
    if dataset.validation is not None:
        if dataset.validation >= images:
            raise UnfitError(f"leaves nothing to train on: there are {images:,} training images.", "validation")
        images -= dataset.validation
    shape, sized = _sized(dataset, facts, channels, chosen)
    recipe = replace(sized, validation=dataset.validation or 0, normalized=dataset.normalized)
    has_margin = dataset.square is not None or dataset.margin is not None
    return Data(recipe, shape, len(kept), images, facts.augment, facts.location, has_margin, facts.notes)


def content(dataset: Dataset, root: Path) -> tuple[DataSet, str | None]:
    """The data with what is written of resize, crop and channels, and the location: to copy what is selected.

    The images may differ in size. Raises UnfitError.
    """
    facts = dataset.facts(root)
    chosen, kept = _chosen(dataset, facts)
    _selected(dataset, facts, kept)
    return replace(chosen, resize=dataset.resize, crop=dataset.crop, channels=dataset.channels), facts.location


def _chosen(dataset: Dataset, facts: Facts) -> tuple[DataSet, list[int]]:
    """Which images are used, and the labels that are kept."""
    kept = _kept_classes(dataset, facts.classes)
    classes = None if kept == list(range(facts.classes)) else tuple(kept)
    return replace(facts.whole, classes=classes, half=dataset.half, per_class=dataset.per_class), kept


def _selected(dataset: Dataset, facts: Facts, kept: list[int]) -> int:
    """Training images that are left of the kept classes. Raises UnfitError for a selection that is impossible."""
    if len(kept) == facts.classes and dataset.half is None and dataset.per_class is None:
        return facts.images
    by_label = facts.counts()
    counts = [by_label[label] for label in kept]
    if dataset.half:
        counts = [-(-count // 2) if dataset.half == "a" else count // 2 for count in counts]
    if dataset.per_class is not None:
        if dataset.per_class > min(counts):
            raise UnfitError(f"there are only {min(counts)} training images of a class.", "per_class")
        counts = [dataset.per_class] * len(counts)
    if not sum(counts):
        raise UnfitError("selects no training image.")
    return sum(counts)


def _kept_classes(dataset: Dataset, total: int) -> list[int]:
    kept = list(range(total)) if dataset.classes is None else list(dataset.classes)
    for index, label in enumerate(kept):
        if label >= total:
            raise UnfitError(f"there is no class {label}: labels are 0 to {total - 1}.", "classes", index)
    return kept if dataset.split is None else part_of(kept, dataset.split)


def _sized(dataset: Dataset, facts: Facts, channels: int | None, chosen: DataSet) -> tuple[ImageShape, DataSet]:
    """The shape after resize, crop and channels, in that order, and `chosen` with those that change something."""
    depth, height, width = facts.shape()
    if dataset.square is not None:
        height, width, sized = _seen(dataset, dataset.square, chosen)
    else:
        height, width, sized = _resized_and_cropped(dataset, height, width, chosen)
    wanted = dataset.channels or channels or depth
    if channels and wanted != channels:
        raise UnfitError(f"the model needs {channels} channels.", "channels")
    if wanted != depth and depth != 1:
        raise UnfitError(f"images of {depth} channels cannot be made {wanted}: only grey ones can.", "channels")
    if wanted != depth or facts.mixed():
        sized = replace(sized, channels=wanted)
    return (wanted, height, width), sized


def _seen(dataset: Dataset, square: int, chosen: DataSet) -> tuple[int, int, DataSet]:
    """Height and width of what models see of squares: by default seven eighths of what is stored, 224 of 256."""
    stored = dataset.resize or square
    seen = dataset.crop or stored * 7 // 8
    if seen > stored:
        raise UnfitError(f"does not fit into images of {stored}x{stored}: resize to more.", "crop")
    if not seen:
        raise UnfitError("leaves no pixel.", "resize")
    resize = None if stored == square else stored
    crop = None if (stored, seen) == (square, square * 7 // 8) else seen
    return seen, seen, replace(chosen, resize=resize, crop=crop)


def _resized_and_cropped(dataset: Dataset, height: int, width: int, chosen: DataSet) -> tuple[int, int, DataSet]:
    short = min(height, width)
    if dataset.resize is not None and not (dataset.one_size and dataset.resize == short):
        chosen = replace(chosen, resize=dataset.resize)
        # as torchvision: the shorter side exactly, the longer one rounded down
        height, width = (
            dataset.resize if side == short else dataset.resize * side // short for side in (height, width)
        )
    if dataset.crop is not None:
        margin = dataset.margin or 0
        if dataset.crop + 2 * margin > min(height, width):
            around = f" with a margin of {margin}" if margin else ""
            raise UnfitError(f"does not fit{around} into images of {height}x{width}: resize first.", "crop")
        if not (dataset.one_size and height == width == dataset.crop):
            chosen = replace(chosen, crop=dataset.crop, margin=margin)
        height = width = dataset.crop
    return height, width, chosen
