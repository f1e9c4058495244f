"""A data set before anything is selected: its labels are known, its pixels are read for the chosen images only."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.lottery.data.errors import DataError
from pipeline.lottery.data.source import Arrays, ImageSource

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of pixels / 255, by channel."""


@dataclass(frozen=True, eq=False)
class RawPart:
    """The training or the test images."""

    labels: Tensor  # int64 [N]
    source: ImageSource


@dataclass(frozen=True)
class RawSet:
    train: RawPart
    test: RawPart
    classes: int
    square: int | None = None
    """Pictures of any size become coloured squares with this side; models see seven eighths of it."""
    statistics: Statistics | None = None
    """Published ones, where the training images are too many to go through for them."""


def in_memory(pixels: object, labels: object, where: str) -> RawPart:
    """A part whose pixels are a uint8 [N, C, H, W] tensor or array, its labels integers [N]. Raises DataError."""
    x, y = torch.as_tensor(pixels), torch.as_tensor(labels)
    if x.dtype != torch.uint8 or x.ndim != 4:
        raise DataError(f"{where}: images must be uint8 [N, C, H, W], not {x.dtype} {list(x.shape)}.")
    if y.is_floating_point() or y.shape != x.shape[:1]:
        raise DataError(f"{where}: labels must be {len(x)} integers, not {y.dtype} {list(y.shape)}.")
    return RawPart(y.long(), Arrays(x, where))


def raw_set(
    train: RawPart,
    test: RawPart,
    where: str,
    square: int | None = None,
    statistics: Statistics | None = None,
) -> RawSet:
    """Both parts, with the number of classes that their labels show. Raises DataError: negative label, no image."""
    if not len(train.labels) or not len(test.labels):
        raise DataError(f"{where}: there are {len(train.labels)} training and {len(test.labels)} test images.")
    labels = torch.cat([train.labels, test.labels])
    if labels.min() < 0:
        raise DataError(f"{where}: there is a label {labels.min().item()}; labels must be 0, 1, 2, ...")
    return RawSet(train, test, int(labels.max()) + 1, square, statistics)
