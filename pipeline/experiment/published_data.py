"""Published data sets by name: their original files, or what `tickets prepare` made of them. Known without any file."""

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.experiment.datasets import Dataset, Facts
from pipeline.experiment.user_files import AbsentDataError
from pipeline.lottery.image_folders import FolderError, part_at
from pipeline.lottery.published_data import PUBLISHED
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.errors import UnfitError


class PublishedData(Dataset):
    """`prepared`: a folder that `tickets prepare` filled, a URI or relative to the data root."""

    prepared: str | None = None
    name: str
    if not TYPE_CHECKING:
        name: Literal[(*PUBLISHED,)]

    @property
    def one_size(self) -> bool:
        return self.square is None

    @property
    def square(self) -> int | None:
        return PUBLISHED[self.name].square

    def facts(self, root: Path) -> Facts:
        known = PUBLISHED[self.name]
        return Facts(
            DataSet(self.name),
            lambda: known.shape,
            known.classes,
            known.images,
            lambda: known.counts or _counts(self.name, self.prepared, root),
            known.augment,
            self.prepared,
        )


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
            f"how many images a class has is known from its files, and {folder} lacks {', '.join(missing)}. "
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
