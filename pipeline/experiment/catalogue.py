"""The catalogue: every data set a grid can name, and what a selection from it looks like to a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pipeline.experiment.class_splits import part_of
from pipeline.experiment.datasets import Dataset, Digits, Facts, UserData, Xor
from pipeline.experiment.image_folders import Images
from pipeline.experiment.model_base import Input
from pipeline.experiment.parquet_data import Parquet
from pipeline.experiment.spec_base import refuse
from pipeline.experiment.torchvision_data import (
    HALVES,
    Cifar10,
    Cifar100,
    FashionMnist,
    Imagenet,
    Mnist,
    Places365,
    Smallnorb,
    Svhn,
)
from pipeline.experiment.user_files import UnfitError


@dataclass(frozen=True)
class Data:
    """A data set as one side of a transfer uses it."""

    fields: dict[str, Any]
    """What is in the key."""
    shape: Input
    classes: int
    images: int
    """Training images, without those held out for validation."""
    augment: dict[str, Any]
    location: str | None
    has_margin: bool = False
    """Whether more is stored than models see."""
    notes: tuple[str, ...] = ()
    """What a plan and a report say of it."""


def _spelled_out(raw: Any) -> Any:
    options = {"name": raw} if isinstance(raw, str) else raw
    name = options.get("name") if isinstance(options, dict) else None
    if not isinstance(name, str):
        return options
    if ".py:" in name:
        return {**options, "name": "user", "source": name}
    if name in HALVES:
        if options.get("half", HALVES[name]) != HALVES[name]:
            raise refuse(f"{name} is half {HALVES[name]} of cifar10: leave `half` out, or name cifar10.", "half")
        return {**options, "name": "cifar10", "half": HALVES[name]}
    return options


Known = (
    Digits
    | Mnist
    | FashionMnist
    | Svhn
    | Cifar10
    | Cifar100
    | Smallnorb
    | Imagenet
    | Places365
    | Parquet
    | Images
    | Xor
    | UserData
)
AnyDataset = Annotated[Known, Field(discriminator="name"), BeforeValidator(_spelled_out)]


def describe(dataset: Known, root: Path, channels: int | None) -> Data:
    """The data that `dataset` selects, with as many channels as the model insists on (None: native).

    Raises UnfitError for files that are missing, and for selections that are impossible.
    """
    facts = dataset.facts(root)
    fields, kept = _chosen(dataset, facts)
    images = _selected(dataset, facts, kept)
    if dataset.validation is not None:
        if dataset.validation >= images:
            raise UnfitError(f"leaves nothing to train on: there are {images:,} training images.", "validation")
        fields["validation"] = dataset.validation
        images -= dataset.validation
    if not dataset.normalized:
        fields["normalized"] = False
    shape = _shape(dataset, facts, channels, fields)
    has_margin = dataset.square is not None or dataset.margin is not None
    return Data(fields, shape, len(kept), images, facts.augment, facts.location, has_margin, facts.notes)


def content(dataset: Known, root: Path) -> tuple[dict[str, Any], str | None]:
    """Data fields with what is written of resize, crop and channels, and the location: to copy what is selected.

    The images may differ in size. Raises UnfitError.
    """
    facts = dataset.facts(root)
    fields, kept = _chosen(dataset, facts)
    _selected(dataset, facts, kept)
    sizes = {"resize": dataset.resize, "crop": dataset.crop, "channels": dataset.channels}
    return fields | {key: value for key, value in sizes.items() if value is not None}, facts.location


def _chosen(dataset: Known, facts: Facts) -> tuple[dict[str, Any], list[int]]:
    """The fields that say which images are used, and the labels that are kept."""
    fields: dict[str, Any] = {"name": dataset.name, **facts.fields}
    kept = _kept_classes(dataset, facts.classes)
    if kept != list(range(facts.classes)):
        fields["classes"] = kept
    if dataset.half:
        fields["half"] = dataset.half
    if dataset.per_class is not None:
        fields["per_class"] = dataset.per_class
    return fields, kept


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


def _shape(dataset: Dataset, facts: Facts, channels: int | None, fields: dict[str, Any]) -> Input:
    """The shape after resize, crop and channels, in that order; what changes nothing stays out of `fields`."""
    depth, height, width = facts.shape()
    if dataset.square is not None:
        height = width = _seen(dataset, dataset.square, fields)
    else:
        height, width = _resized_and_cropped(dataset, height, width, fields)
    wanted = dataset.channels or channels or depth
    if channels and wanted != channels:
        raise UnfitError(f"the model needs {channels} channels.", "channels")
    if wanted != depth and depth != 1:
        raise UnfitError(f"images of {depth} channels cannot be made {wanted}: only grey ones can.", "channels")
    if wanted != depth or facts.mixed():
        fields["channels"] = wanted
    return wanted, height, width


def _seen(dataset: Dataset, square: int, fields: dict[str, Any]) -> int:
    """Side of what models see of squares: by default seven eighths of the side that is stored, 224 of 256."""
    stored = dataset.resize or square
    if stored != square:
        fields["resize"] = stored
    seen = dataset.crop or stored * 7 // 8
    if seen > stored:
        raise UnfitError(f"does not fit into images of {stored}x{stored}: resize to more.", "crop")
    if not seen:
        raise UnfitError("leaves no pixel.", "resize")
    if (stored, seen) != (square, square * 7 // 8):
        fields["crop"] = seen
    return seen


def _resized_and_cropped(dataset: Dataset, height: int, width: int, fields: dict[str, Any]) -> tuple[int, int]:
    short = min(height, width)
    if dataset.resize is not None and not (dataset.one_size and dataset.resize == short):
        fields["resize"] = dataset.resize
        # as torchvision: the shorter side exactly, the longer one rounded down
        height, width = (
            dataset.resize if side == short else dataset.resize * side // short for side in (height, width)
        )
    if dataset.crop is not None:
        margin = dataset.margin or 0
        if dataset.crop + 2 * margin > min(height, width):
            around = f" with a margin of {margin}" if margin else ""
            raise UnfitError(f"does not fit{around} into images of {height}x{width}: resize first.", "crop")
        if margin:
            fields["margin"] = margin
        if not (dataset.one_size and height == width == dataset.crop):
            fields["crop"] = dataset.crop
        height = width = dataset.crop
    return height, width
