"""A folder of Parquet files in the Hugging Face image layout: rows, labels and image size without decoding pixels."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.experiment.datasets import Dataset, Facts, counted
from pipeline.experiment.image_folders import size_of, turning_of
from pipeline.experiment.reading_once import once
from pipeline.experiment.user_files import AbsentDataError
from pipeline.lottery.locations import Folder, folder_at
from pipeline.lottery.parquet_files import ParquetError, at_once, fingerprint
from pipeline.lottery.parquet_layout import Parts, parts
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.model_base import ImageShape

if TYPE_CHECKING:
    from pipeline.lottery.parquet_labels import Labels

FILES = 32
"""Of a part, whose first pictures say whether any may be turned: to read them all would take minutes."""
BUFFER = 2**20
"""Bytes that are read at once, in place of a whole group of rows for its first image."""
SHOWN = 8
"""Labels that a note names."""


class Parquet(Dataset):
    """`path`: the folder, relative to the data root, or its URI. `image`, `label`: the columns."""

    name: Literal["parquet"] = "parquet"
    path: str
    image: str = "image"
    label: str = "label"

    def facts(self, root: Path) -> Facts:
        try:
            found = once(
                ("parquet", self.path, root, self.image, self.label),
                lambda: _looked_at(self.path, root, self.image, self.label),
            )
            folder, labels = found.folder, found.labels
            counts = tuple(labels.counts.get(number, 0) for number in range(max(labels.counts) + 1))
            labels.refuse_unseen(folder, self.label, self._chosen(len(counts)))
        except ParquetError as error:
            raise UnfitError(str(error), error.option) from error
        except OSError as error:
            raise UnfitError(f"{Folder(self.path)} cannot be read: {error}", "path") from error
        notes = tuple(f"{folder}: {sentence}" for sentence in self._notes(found.parts, labels, len(counts)))
        return counted(found.whole, found.shape, counts, location=folder.place, notes=notes)

    def _chosen(self, classes: int) -> set[int] | None:
        """The labels that are surely used, as the data fields have them: None stands for all, whatever they are."""
        if self.split is not None:
            return set()
        return None if self.classes is None or len(self.classes) == classes else set(self.classes)

    def _notes(self, found: Parts, labels: "Labels", classes: int) -> Iterator[str]:
        used = range(classes) if self.classes is None else sorted(self.classes)
        absent = [number for number in used if number not in labels.counts]
        if labels.classes:
            named = (f"{number} {name!r}" for number, name in enumerate(labels.classes))
            yield f"the labels are strings, which are numbered in sorted order: {_listed(named, classes)}."
        elif absent == [0]:
            yield f"labels begin with 1: class 0 has no images, and is one of {classes} classes all the same."
        elif absent:
            numbers = _listed(map(str, absent), len(absent))
            yield f"no training image has label {numbers}; each is one of {classes:,} classes all the same."
        untested = [number for number in used if number in labels.counts and number not in labels.test_counts]
        if untested:
            yield f"no test image has label {_listed(map(str, untested), len(untested))}."
        if found.unread:
            yield f"of neither part, and so not read: {_listed(found.unread, len(found.unread))}."


@dataclass(frozen=True)
class _Set:
    """What planning reads of the files."""

    folder: Folder
    parts: Parts
    labels: "Labels"
    whole: DataSet
    shape: ImageShape


def _looked_at(path: str, root: Path, image: str, label: str) -> _Set:
    """Raises ParquetError, UnfitError and OSError."""
    from pipeline.lottery.parquet_labels import read_labels

    folder = _folder(path, root)
    found = parts(folder)
    labels = read_labels(folder, found.train, found.test, image, label)
    first = {f"{file}, row 0": data for file, data in _first_images(folder, labels, image).items()}
    where, data = next(iter(first.items()))
    whole = DataSet(
        "parquet",
        fingerprint(folder, found.files),
        image,
        label,
        labels.digest if labels.classes else None,
        turning_of(first).get("orientation"),
    )
    return _Set(folder, found, labels, whole, size_of(io.BytesIO(data), where))


def _listed(names: Iterable[str], count: int) -> str:
    shown = [name for name, _ in zip(names, range(SHOWN), strict=False)]
    return ", ".join(shown) + (f" and {count - SHOWN:,} more" if count > SHOWN else "")


def _folder(path: str, root: Path) -> Folder:
    folder = folder_at(path, root)
    if not folder.exists():
        hint = "" if "://" in folder.place else " Give a path below the data root (--data, TICKETS_DATA), or a URI."
        raise AbsentDataError(f"there is no folder {folder}.{hint}", "path")
    return Folder(str(Path(folder.place).resolve())) if folder.local else folder


def _first_image(folder: Folder, file: str, image: str) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pipeline.lottery.parquet_columns import bytes_of

    try:
        with folder.filesystem.open_input_file(folder.path(file)) as source:
            opened = pq.ParquetFile(source, buffer_size=BUFFER)
            batch = next(batch for batch in opened.iter_batches(batch_size=1, columns=[image]) if len(batch))
    except (OSError, pa.ArrowException) as error:
        raise UnfitError(f"{folder.shown(file)} cannot be read as Parquet: {error}", "path") from error
    data = bytes_of(batch.column(image))[0].as_py()
    if data is None:
        raise UnfitError(f"{folder.shown(file)}, row 0: there is no image in column {image!r}.", "image")
    return bytes(data)


def _first_images(folder: Folder, labels: "Labels", image: str) -> dict[str, bytes]:
    """The first image of each file by its name, of at most `FILES` files with rows in each part, spread evenly."""
    asked = []
    for part in (labels.train, labels.test):
        files = [file for file, of_file in part.items() if len(of_file)]
        asked += files[:: -(-len(files) // FILES)]
    return dict(zip(asked, at_once(lambda file: _first_image(folder, file, image), asked), strict=True))
