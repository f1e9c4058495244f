"""Any folder of images with one folder a class, in train/ and in val/ or test/."""

from pathlib import Path

import torch

from pipeline.lottery import image_folders
from pipeline.lottery.data.decoding import ImageFiles
from pipeline.lottery.data.errors import DataError
from pipeline.lottery.data.raw import RawPart, RawSet, raw_set
from pipeline.recipes.datasets import DataSet


def images(data: DataSet, root: Path, location: str | None) -> RawSet:
    """Labels count the class folders of train/ in name order; images of a class in path order. Raises DataError."""
    if location is None:
        raise DataError(f"images: no folder is given. {image_folders.LAYOUT}")
    folder = root / location
    try:
        found = image_folders.image_folder(folder)
        if data.fingerprint is not None and found.fingerprint != data.fingerprint:
            raise DataError(f"{folder} has changed since it was planned: other images are there now. Plan it again.")
    except image_folders.FolderError as error:
        raise DataError(f"{error} Check the location and the data root (--data, TICKETS_DATA).") from error
    classes = list(found.train.pictures)
    return raw_set(labelled(found.train, classes), labelled(found.test, classes), str(folder))


def labelled(part: image_folders.FolderPart, classes: list[str]) -> RawPart:
    """The pictures of `classes`, labelled by their place there."""
    files = [part.pictures.get(name, []) for name in classes]
    labels = torch.arange(len(classes)).repeat_interleave(torch.tensor([len(of_class) for of_class in files]))
    return RawPart(labels, ImageFiles([f"{part.folder}/{file.path}" for of_class in files for file in of_class]))
