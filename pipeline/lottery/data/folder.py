"""Any folder of images with one folder a class, in train/ and in val/ or test/."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline.lottery.data.decoding import Files
from pipeline.lottery.data.errors import DataError
from pipeline.lottery.data.raw import RawPart, RawSet, raw_set

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".gif")
LAYOUT = "Expected: train/<class>/<image> and val/<class>/<image> (or test/)."


def image_folder(fields: Mapping[str, Any], root: Path, location: str | None) -> RawSet:
    """Labels count the class folders of train/ in name order; images of a class in path order. Raises DataError."""
    if location is None:
        raise DataError(f"images: no folder is given. {LAYOUT}")
    folder = root / location
    train = folder / "train"
    test = next((folder / name for name in ("val", "test") if (folder / name).is_dir()), None)
    if not train.is_dir() or test is None:
        raise DataError(
            f"{folder} lacks {'val/ or test/' if train.is_dir() else 'train/'}. {LAYOUT} "
            "Check the location and the data root (--data, TICKETS_DATA)."
        )
    classes = _classes(train)
    if unknown := sorted(set(_classes(test)) - set(classes)):
        raise DataError(f"{test}: {', '.join(unknown)} are no classes of {train}.")
    training = _part(train, classes)
    counts = torch.bincount(training.labels, minlength=len(classes)).tolist()
    if empty := [name for name, count in zip(classes, counts, strict=True) if not count]:
        raise DataError(
            f"{train}: no images in {', '.join(empty)}. Remove the folder, or add images ({', '.join(SUFFIXES)})."
        )
    return raw_set(training, _part(test, classes), str(folder))


def _classes(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _part(folder: Path, classes: list[str]) -> RawPart:
    pictures: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = sorted(
            (
                file
                for file in (folder / name).rglob("*")
                if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
            ),
            key=lambda file: file.as_posix(),
        )
        pictures += [str(file) for file in files]
        labels += [label] * len(files)
    return RawPart(torch.tensor(labels, dtype=torch.int64), Files(pictures))
