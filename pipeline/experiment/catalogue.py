"""The catalogue: every data set a grid can name, and what a selection from it looks like to a model."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pipeline.experiment.datasets import Dataset, Digits, FashionMnist, Mnist, Split, UserData
from pipeline.experiment.image_folders import Images
from pipeline.experiment.models import Input
from pipeline.experiment.parquet_data import Parquet
from pipeline.experiment.user_files import UnfitError


@dataclass(frozen=True)
class Data:
    """A data set as one side of a transfer uses it."""

    fields: dict[str, Any]
    """What is in the key."""
    shape: Input
    classes: int
    images: int
    """Training images."""
    augment: dict[str, Any]
    location: str | None


def _spelled_out(raw: Any) -> Any:
    options = {"name": raw} if isinstance(raw, str) else raw
    if isinstance(options, dict) and isinstance(options.get("name"), str) and ".py:" in options["name"]:
        return {**options, "name": "user", "source": options["name"]}
    return options


AnyDataset = Annotated[
    Digits | Mnist | FashionMnist | Parquet | Images | UserData,
    Field(discriminator="name"),
    BeforeValidator(_spelled_out),
]


def describe(
    dataset: Digits | Mnist | FashionMnist | Parquet | Images | UserData, root: Path, channels: int | None
) -> Data:
    """The data that `dataset` selects, with as many channels as the model insists on (None: native).

    Raises UnfitError for files that are missing, and for selections that are impossible.
    """
    facts = dataset.facts(root)
    fields: dict[str, Any] = {"name": dataset.name, **facts.fields}
    kept = _kept_classes(dataset, len(facts.counts))
    if kept != list(range(len(facts.counts))):
        fields["classes"] = kept
    counts = [facts.counts[label] for label in kept]
    if dataset.half:
        fields["half"] = dataset.half
        counts = [-(-count // 2) if dataset.half == "a" else count // 2 for count in counts]
    if dataset.per_class is not None:
        if dataset.per_class > min(counts):
            raise UnfitError(f"there are only {min(counts)} training images of a class.", "per_class")
        fields["per_class"] = dataset.per_class
        counts = [dataset.per_class] * len(counts)
    if not sum(counts):
        raise UnfitError("selects no training image.")
    shape = _shape(dataset, facts.shape, channels, fields)
    return Data(fields, shape, len(kept), sum(counts), facts.augment, facts.location)


def _kept_classes(dataset: Dataset, total: int) -> list[int]:
    kept = list(range(total)) if dataset.classes is None else list(dataset.classes)
    for index, label in enumerate(kept):
        if label >= total:
            raise UnfitError(f"there is no class {label}: labels are 0 to {total - 1}.", "classes", index)
    if dataset.split is None:
        return kept
    if dataset.split.groups > len(kept):
        raise UnfitError(f"{len(kept)} classes do not make {dataset.split.groups} groups.", "split", "groups")
    return _part(kept, dataset.split)


def _part(kept: list[int], split: Split) -> list[int]:
    """One group of a random partition, as plain labels: a split shares its stages with the same classes written out.

    The order of hashes is random enough here, and the same wherever the plan is made.
    """
    order = sorted(kept, key=lambda label: hashlib.sha256(f"split/{split.seed}/{label}".encode()).digest())
    begin, end = (part * len(order) // split.groups for part in (split.part, split.part + 1))
    return sorted(order[begin:end])


def _shape(dataset: Dataset, native: Input, channels: int | None, fields: dict[str, Any]) -> Input:
    """The shape after resize, crop and channels, in that order; what changes nothing stays out of `fields`."""
    depth, height, width = native
    short = min(height, width)
    if dataset.resize is not None and not (dataset.one_size and dataset.resize == short):
        fields["resize"] = dataset.resize
        # as torchvision: the shorter side exactly, the longer one rounded down
        height, width = (
            dataset.resize if side == short else dataset.resize * side // short for side in (height, width)
        )
    if dataset.crop is not None:
        if dataset.crop > min(height, width):
            raise UnfitError(f"does not fit into images of {height}x{width}: resize first.", "crop")
        if not (dataset.one_size and height == width == dataset.crop):
            fields["crop"] = dataset.crop
        height = width = dataset.crop
    wanted = dataset.channels or channels or depth
    if channels and wanted != channels:
        raise UnfitError(f"the model needs {channels} channels.", "channels")
    if wanted != depth:
        if depth != 1:
            raise UnfitError(f"images of {depth} channels cannot be made {wanted}: only grey ones can.", "channels")
        fields["channels"] = wanted
    return wanted, height, width
