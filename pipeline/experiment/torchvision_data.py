"""Published data sets by name: their original files, or what `tickets prepare` made of them. Known without any file."""

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

from pipeline.experiment.datasets import Dataset, Facts
from pipeline.experiment.user_files import AbsentDataError
from pipeline.lottery.image_folders import FolderError, part_at
from pipeline.lottery.published_data import PUBLISHED, SQUARE
from pipeline.recipes.augmentation import Augment
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.errors import UnfitError

DIGITS = Augment(crop=4)
"""A mirrored digit is another digit."""
THINGS = Augment(flip=True, crop=4)
SCENES = Augment(flip=True, resized_crop=True)


class Published(Dataset):
    """`prepared`: a folder that `tickets prepare` filled, a URI or relative to the data root."""

    prepared: str | None = None

    one_size: ClassVar[bool] = True
    augment: ClassVar[Augment] = THINGS

    def facts(self, root: Path) -> Facts:
        name: str = self.name  # type: ignore[attr-defined]  # of the class that this is mixed into
        known = PUBLISHED[name]
        counts = known.counts

        def counted() -> tuple[int, ...]:
            return counts or _counts(name, self.prepared, root)

        return Facts(
            DataSet(name), lambda: known.shape, known.classes, known.images, counted, self.augment, self.prepared
        )


class Mnist(Published):
    name: Literal["mnist"] = "mnist"
    augment: ClassVar[Augment] = DIGITS


class FashionMnist(Published):
    name: Literal["fashion_mnist"] = "fashion_mnist"


class Svhn(Published):
    """House numbers, without the extra training images."""

    name: Literal["svhn"] = "svhn"
    augment: ClassVar[Augment] = DIGITS


class Cifar10(Published):
    name: Literal["cifar10"] = "cifar10"


class Cifar100(Published):
    name: Literal["cifar100"] = "cifar100"


class Smallnorb(Published):
    """Small NORB, the left camera: 24,300 training and 24,300 test images of 96x96, as they are published.

    Table 2 of Mehta 2019 contradicts that (40,000 and 10,000 of 28x28). `resize` is the grid's to choose; images are
    flipped, padded and cropped by default, as there (section 3).
    """

    name: Literal["smallnorb"] = "smallnorb"


class Imagenet(Published):
    """ILSVRC 2012; its validation set is the test set. `resize`: side of what is stored, `crop`: of what is seen."""

    name: Literal["imagenet"] = "imagenet"
    one_size: ClassVar[bool] = False
    square: ClassVar[int | None] = SQUARE
    augment: ClassVar[Augment] = SCENES


class Places365(Published):
    """Places365-Standard, the images of 256x256; its validation set is the test set. Sizes as in `imagenet`."""

    name: Literal["places365"] = "places365"
    one_size: ClassVar[bool] = False
    square: ClassVar[int | None] = SQUARE
    augment: ClassVar[Augment] = SCENES


HALVES = {"cifar10a": "a", "cifar10b": "b"}
"""The halves of CIFAR-10 in Morcos et al. 2019, by names of their own."""


@lru_cache(maxsize=8)
def _counts(name: str, prepared: str | None, root: Path) -> tuple[int, ...]:
    """Training images by label, from the manifest or the names of the files. Raises UnfitError."""
    counts = _prepared_counts(name, prepared, root) or _file_counts(name, root)
    known = PUBLISHED[name]
    if sum(counts) != known.images or len(counts) != known.classes:
        raise UnfitError(
            f"{known.images:,} training images in {known.classes} classes are expected, but {sum(counts):,} in "
            f"{len(counts)} are there. {known.how(root)}",
            "name",
        )
    return counts


def _prepared_counts(name: str, prepared: str | None, root: Path) -> tuple[int, ...] | None:
    import json

    from pipeline.lottery.locations import folder_at

    folder = folder_at(prepared or f"prepared/{name}", root)
    try:
        with folder.filesystem.open_input_stream(folder.path("prepared.json")) as stream:
            manifest = json.loads(stream.read())
        return tuple(int(count) for count in manifest["train"])
    except (FileNotFoundError, NotADirectoryError):
        if prepared is None:
            return None
        raise AbsentDataError(
            f"{folder} has no prepared.json: give `tickets prepare {name} {folder}`.", "prepared"
        ) from None
    except OSError as error:
        raise UnfitError(f"{folder} cannot be read: {error}", "prepared") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UnfitError(
            f"{folder.shown('prepared.json')} is damaged: {error}. Give `tickets prepare {name} {folder}` again.",
            "prepared",
        ) from error


def _file_counts(name: str, root: Path) -> tuple[int, ...]:
    known = PUBLISHED[name]
    folder = root / known.folder
    if missing := known.missing(root):
        raise AbsentDataError(
            f"how many images a class has is told by its files, and {folder} lacks {', '.join(missing)}. "
            f"{known.how(root)}",
            "name",
        )
    if name == "places365":
        lines = (folder / "places365_train_standard.txt").read_text().splitlines()
        found = Counter(int(line.rsplit(" ", 1)[1]) for line in lines)
        return tuple(found[label] for label in range(max(found, default=-1) + 1))
    try:
        return tuple(map(len, part_at(folder / "train").pictures.values()))
    except FolderError as error:
        raise UnfitError(f"{error} {known.how(root)}", "name") from error
