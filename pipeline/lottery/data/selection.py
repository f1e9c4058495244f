"""From a recipe of data to images: classes, half, n per class, validation, resize, crop, channels, so ordered."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from pipeline.lottery.data import subsets
from pipeline.lottery.data.errors import DataError
from pipeline.lottery.data.geometry import Geometry
from pipeline.lottery.data.images import Images
from pipeline.lottery.data.prepared import MANIFEST, prepared_set
from pipeline.lottery.data.raw import RawSet, Statistics
from pipeline.lottery.data.residency import streams
from pipeline.lottery.data.source import ImageSource
from pipeline.lottery.data.statistics import statistics, streamed_statistics
from pipeline.lottery.data.streamed import Pixels, Streamed, streamed
from pipeline.lottery.data.whole_parts import read_whole
from pipeline.lottery.embedded_data import EMBEDDED
from pipeline.lottery.locations import folder_at
from pipeline.lottery.published_data import PUBLISHED
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.errors import unknown_name

Loader = Callable[[DataSet, Path, str | None], RawSet]

MODULES = {
    **{name: name for name in EMBEDDED},
    **{name: published.module for name, published in PUBLISHED.items()},
    **{"parquet": "parquet", "images": "folder", "user": "user"},
}
"""Which module of this package has the loader of a data set: a function of its name."""


@dataclass(frozen=True, eq=False)
class Subset:
    """Which images of a source are used, and their labels 0..classes-1."""

    source: ImageSource
    indices: Tensor  # int64 [n]
    labels: Tensor  # int64 [n]


@dataclass(frozen=True, eq=False)
class Selection:
    """What is chosen of a data set; no pixel is read yet."""

    train: Subset
    validation: Subset
    """Training images that are held out; empty unless some are asked for."""
    test: Subset
    classes: int
    geometry: Geometry
    seen: tuple[int, int] | None
    """Height and width of what models see, if that is less than the geometry leaves."""
    statistics: Statistics | None


def load(
    data: DataSet,
    root: Path,
    location: str | None = None,
    *,
    images: str = "auto",
    device: str = "cpu",
    decoders: int = 1,
    limit_bytes: int | None = None,
    share: float = 1.0,
) -> Images:
    """The images that `data` describes, on the CPU, with statistics of the training images as they are used.

    `root` is the data root. `location` is the folder of `parquet`, `images` and prepared sets (a URI, or a path
    relative to the root, or absolute) or the Python file of `user`; it is where, not what, and so not in the key. The
    same recipe gives the same images for every seed. `images` is auto, resident or streaming (`residency.streams`, with
    the `device`, `limit_bytes` and the `share` of the device); `decoders` processes decode. None of these changes a
    result. Raises DataError for files that are missing, damaged or do not fit `data`, LookupError for an unknown
    name, plugins.PluginError about a user's file, OSError about a network, which may pass.
    """
    chosen = select(data, root, location)
    train, test = (
        streamed(part.source, part.indices, chosen.geometry, decoders) for part in (chosen.train, chosen.test)
    )
    if train.shape[1:] != test.shape[1:]:
        raise DataError(
            f"{data.name}: training images are {list(train.shape[1:])} and test images "
            f"{list(test.shape[1:])} (channels, height, width): set `resize`, `crop` or `channels`."
        )
    decoded = train.shape.numel() + test.shape.numel()
    placed: Callable[[Streamed], Pixels] = (
        Streamed.shared if streams(images, decoded, device, limit_bytes, share) else read_whole
    )
    pixels, test_pixels = placed(train), placed(test)
    held = chosen.validation
    validation = None
    if len(held.indices):
        validation = placed(streamed(held.source, held.indices, chosen.geometry, decoders)), held.labels
    mean, std = _statistics(chosen, pixels, data)
    return Images(
        train_x=pixels,
        train_y=chosen.train.labels,
        test_x=test_pixels,
        test_y=chosen.test.labels,
        mean=mean,
        std=std,
        classes=chosen.classes,
        seen=chosen.seen,
        validation=validation,
    )


def select(data: DataSet, root: Path, location: str | None = None, *, original: bool = False) -> Selection:
    """What `data` chooses; with `original`, of published files, not of what was prepared. Raises as `load`."""
    raw = _raw(data, Path(root), location, original)
    kept = subsets.kept_classes(data, raw.classes)
    chosen = subsets.training_indices(raw.train.labels, kept, data)
    train, validation = subsets.held_out(chosen, len(raw.train.labels), data)
    test = subsets.test_indices(raw.test.labels, kept)
    if not len(train) or not len(test):
        raise DataError(
            f"{data.name}: {len(train)} training and {len(test)} test images are left after classes {kept} and half."
        )
    geometry, seen = _sizes(data, raw.square)
    return Selection(
        Subset(raw.train.source, train, subsets.relabelled(raw.train.labels[train], kept)),
        Subset(raw.train.source, validation, subsets.relabelled(raw.train.labels[validation], kept)),
        Subset(raw.test.source, test, subsets.relabelled(raw.test.labels[test], kept)),
        len(kept),
        geometry,
        seen,
        raw.statistics,
    )


def _raw(data: DataSet, root: Path, location: str | None, original: bool) -> RawSet:
    name = data.name
    if name not in MODULES:
        raise LookupError(unknown_name("data set", name, MODULES))
    loader: Loader = getattr(import_module(f"pipeline.lottery.data.{MODULES[name]}"), name)
    if name not in PUBLISHED:
        return loader(data, root, location)
    prepared = None if original else prepared_set(data, root, location)
    raw = prepared or loader(data, root, None)
    published = PUBLISHED[name]
    found = len(raw.train.labels), len(raw.test.labels)
    if found != (published.images, published.test_images):
        where = folder_at(location or f"prepared/{name}", root)
        remedy = (
            f"in {where.shown(MANIFEST)}. Remove what is in that folder and give `tickets prepare {name} {where}`."
            if prepared
            else f"there. Unpack it anew. {published.how(root)}"
        )
        raise DataError(
            f"{name} has {published.images:,} training and {published.test_images:,} test images, but {found[0]:,} and "
            f"{found[1]:,} are {remedy}"
        )
    return raw


def _sizes(data: DataSet, square: int | None) -> tuple[Geometry, tuple[int, int] | None]:
    """What is stored of each image, and the size that models see if that is less."""
    if square is None:
        geometry, seen = Geometry.of(data), data.crop
        if not data.margin or seen is None:
            return geometry, None
        return replace(geometry, crop=seen + 2 * data.margin), (seen, seen)
    stored = data.resize or square
    seen = data.crop or stored * 7 // 8
    if seen > stored:
        raise DataError(f"crop: {seen} does not fit into images of {stored}x{stored}. Resize to {seen} or more.")
    # As torchvision reads these sets, and as everybody's results of them are: no picture is turned.
    return Geometry(stored, stored, 3, upright=False), (seen, seen)


def _statistics(chosen: Selection, pixels: Pixels, data: DataSet) -> tuple[Tensor, Tensor]:
    if not data.normalized:
        return torch.zeros(pixels.shape[1]), torch.ones(pixels.shape[1])
    if chosen.statistics is not None:
        mean, std = chosen.statistics
        return torch.tensor(mean), torch.tensor(std)
    return streamed_statistics(pixels, data) if isinstance(pixels, Streamed) else statistics(pixels)
