"""Images in folders, one a class: train/<class>/*, and val/<class>/* or test/<class>/*."""

import io
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Literal

from pipeline.experiment.datasets import Dataset, Facts
from pipeline.experiment.reading_once import once
from pipeline.experiment.user_files import AbsentDataError
from pipeline.lottery.image_folders import FolderError, FolderPart, image_folder
from pipeline.lottery.pictures import PictureError, shape, turning
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.model_base import ImageShape


class ImageFolder(Dataset):
    """`path`: the folder, relative to the data root."""

    name: Literal["images"] = "images"
    path: str

    def facts(self, root: Path) -> Facts:
        folder = folder_at(self.path, root)
        try:
            found = once(("images", folder), lambda: image_folder(folder))
            fingerprint = found.fingerprint
        except FolderError as error:
            raise UnfitError(str(error), "path") from error
        train = found.train
        counts = tuple(map(len, train.pictures.values()))

        @cache
        def shapes() -> set[ImageShape]:
            return once(("shapes", folder), lambda: _shapes(train))

        return Facts(
            DataSet(self.name, fingerprint=fingerprint),
            lambda: self._shape(shapes()),
            len(counts),
            sum(counts),
            lambda: counts,
            location=str(folder),
            notes=found.notes,
            mixed=lambda: self.channels == 3 or len({channels for channels, _, _ in shapes()}) > 1,
        )

    def _shape(self, shapes: set[ImageShape]) -> ImageShape:
        if len({shape[1:] for shape in shapes}) > 1 and not (self.resize and self.crop):
            sizes = sorted(f"{height}x{width}" for _, height, width in shapes)[:4]
            raise UnfitError(f"the images differ in size ({', '.join(sizes)}, ...): give resize and crop.", "path")
        channels = max(shape[0] for shape in shapes)
        return (channels, *min(shapes)[1:])


def folder_at(path: str, root: Path) -> Path:
    """`path` below the data root, or absolute. Raises AbsentDataError if there is no such folder."""
    folder = root / path
    if not folder.is_dir():
        raise AbsentDataError(
            f"there is no folder {folder}. Give a path below the data root (--data, TICKETS_DATA).", "path"
        )
    return folder.resolve()


def _shapes(train: FolderPart) -> set[ImageShape]:
    """Of the first image of each class; to read all headers of a large set would take minutes a plan."""
    first = [files[0].path for files in train.pictures.values()]
    return {size_of(train.folder / file, f"{train.folder.name}/{file}") for file in first}


def size_of(file: Path | IO[bytes], where: str) -> ImageShape:
    """Channels (1 for grey, else 3), height and width as the image is decoded, from its header alone.

    Raises UnfitError.
    """
    try:
        return shape(file, where)
    except PictureError as error:
        raise UnfitError(str(error), "path") from error


def turning_of(pictures: Mapping[str, bytes]) -> dict[str, str]:
    """Data fields that say that the pictures of a set may be turned, if one of these, by their places, may be.

    One that cannot be read turns nothing; where it is used, training refuses it.
    """
    fields: dict[str, str] = {}
    for where, data in pictures.items():
        with suppress(PictureError):
            fields |= turning(io.BytesIO(data), where)
    return fields
