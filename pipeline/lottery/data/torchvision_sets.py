"""CIFAR-10, CIFAR-100, SVHN, ImageNet and Places365, from the files that torchvision reads (and, where small, gets)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.lottery.data.decoding import ImageFiles
from pipeline.lottery.data.downloading import complete
from pipeline.lottery.data.errors import DataError
from pipeline.lottery.data.folder import labelled
from pipeline.lottery.data.raw import RawPart, RawSet, in_memory, raw_set
from pipeline.lottery.image_folders import FolderError, part_at
from pipeline.lottery.published_data import IMAGENET_STATISTICS, PUBLISHED, SQUARE
from pipeline.recipes.datasets import DataSet


def cifar10(data: DataSet, root: Path, location: str | None) -> RawSet:
    """50,000 and 10,000 pictures of ten kinds of things, 32x32. Raises DataError."""
    return _cifar("cifar10", root)


def cifar100(data: DataSet, root: Path, location: str | None) -> RawSet:
    """50,000 and 10,000 pictures of a hundred kinds of things, 32x32. Raises DataError."""
    return _cifar("cifar100", root)


def svhn(data: DataSet, root: Path, location: str | None) -> RawSet:
    """73,257 and 26,032 house numbers, 32x32, without the extra ones. Raises DataError."""
    # Imported here, as in the other loaders: torchvision takes a second, and only these data sets need it.
    from torchvision.datasets import SVHN

    complete("svhn", root)

    def part(split: str) -> RawPart:
        opened = _opened("svhn", root, partial(SVHN, root / "svhn", split))
        return in_memory(np.ascontiguousarray(opened.data), opened.labels, str(root / "svhn"))

    return raw_set(part("train"), part("test"), str(root / "svhn"))


def imagenet(data: DataSet, root: Path, location: str | None) -> RawSet:
    """ILSVRC 2012: 1,281,167 pictures of 1,000 classes, and the 50,000 of its validation as test. Raises DataError.

    In torchvision's order; found by the same rule as in planning, which torchvision does not share (it sees hidden
    folders).
    """
    complete("imagenet", root)
    folder = root / "imagenet"
    try:
        train, test = part_at(folder / "train"), part_at(folder / "val")
    except FolderError as error:
        raise DataError(f"{error} {PUBLISHED['imagenet'].how(root)}") from error
    classes = sorted(train.pictures.keys() | test.pictures.keys())
    return raw_set(labelled(train, classes), labelled(test, classes), str(folder), SQUARE, IMAGENET_STATISTICS)


def places365(data: DataSet, root: Path, location: str | None) -> RawSet:
    """Places365-Standard at 256x256: 1,803,460 pictures of 365 scenes, its 36,500 for validation as test.

    Raises DataError.
    """
    from torchvision.datasets import Places365

    complete("places365", root)
    train, test = (
        _opened("places365", root, partial(Places365, root / "places365", split, small=True))
        for split in ("train-standard", "val")
    )
    return _pictures(train.imgs, test.imgs, root / "places365")


def _cifar(name: str, root: Path) -> RawSet:
    from torchvision import datasets

    dataset: Any = getattr(datasets, PUBLISHED[name].torchvision)
    complete(name, root)
    where = str(root / dataset.base_folder)

    def part(train: bool) -> RawPart:
        opened = _opened(name, root, partial(dataset, root, train))
        return in_memory(np.ascontiguousarray(opened.data.transpose(0, 3, 1, 2)), np.asarray(opened.targets), where)

    return raw_set(part(True), part(False), where)


def _pictures(train: list[tuple[str, int]], test: list[tuple[str, int]], folder: Path) -> RawSet:
    def part(pictures: list[tuple[str, int]]) -> RawPart:
        labels = torch.tensor([label for _, label in pictures], dtype=torch.int64)
        return RawPart(labels, ImageFiles([file for file, _ in pictures]))

    return raw_set(part(train), part(test), str(folder), SQUARE, IMAGENET_STATISTICS)


def _opened(name: str, root: Path, make: Callable[[], Any]) -> Any:
    """The data set as torchvision opens it: it checks the MD5 of what it reads whole."""
    published = PUBLISHED[name]
    try:
        return make()
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{root / published.folder} cannot be read: {reason}\n"
            f"Delete what is damaged and get it again. {published.how(root)}"
        ) from error
