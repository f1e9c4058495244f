"""From the label columns of a Parquet set to class numbers, the same in planning and training. Imports no torch."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.lottery.counting import listed
from pipeline.lottery.locations import Folder
from pipeline.lottery.parquet_columns import LabelColumn, label_column
from pipeline.lottery.parquet_files import ParquetError, at_once

MOST_CLASSES = 100_000
"""A label beyond is no class number, unless there are as many training images: each class costs an output."""
SHOWN = 5


@dataclass(frozen=True)
class Labels:
    """Class numbers by file, int64 arrays of pyarrow in row order."""

    train: dict[str, Any]
    test: dict[str, Any]
    classes: tuple[str, ...] = ()
    """The strings that were labels, by number: those of the training images in sorted order. Empty for integers."""

    @cached_property
    def counts(self) -> dict[int, int]:
        """Training images by label."""
        return _counts(self.train)

    @cached_property
    def test_counts(self) -> dict[int, int]:
        return _counts(self.test)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the classes and the label of every image."""
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for labels in (*self.train.values(), *self.test.values()):
            digest.update(labels.to_numpy(zero_copy_only=False).tobytes())
        return digest.hexdigest()

    def refuse_unseen(self, folder: Folder, label: str, chosen: Collection[int] | None) -> None:
        """Raises ParquetError where a test image is of a class without training images; None chooses all classes."""
        unseen = sorted(self.test_counts.keys() - self.counts.keys())
        if chosen is not None:
            unseen = [number for number in unseen if number in chosen]
        if unseen:
            file = next(file for file, labels in self.test.items() if unseen[0] in pc.unique(labels).to_pylist())
            raise _unseen(folder.shown(file), label, unseen)


def read_labels(folder: Folder, train: Collection[str], test: Collection[str], image: str, label: str) -> Labels:
    """The labels of both parts, whose image columns are checked, too. Raises as `label_column`."""
    files = [*train, *test]
    read = at_once(lambda file: label_column(folder, file, image, label), files)
    columns = {file: column for file, column in zip(files, read, strict=True) if column is not None}
    for part, of_part in (("training", train), ("test", test)):
        if not columns.keys() & set(of_part):
            raise ParquetError(f"{folder} has no {part} image: there is no row in {', '.join(list(of_part)[:SHOWN])}.")
    _refuse_differences(folder, columns, label)
    classes = None
    if next(iter(columns.values())).is_text:
        classes = pc.unique(pa.chunked_array([columns[file].values for file in train if file in columns])).sort()
    most = max(MOST_CLASSES, sum(len(columns[file].values) for file in train if file in columns))

    def numbers(file: str) -> Any:
        if file not in columns:
            return pa.array([], pa.int64())
        values, where = columns[file].values, folder.shown(file)
        return _numbers(where, values, label, most) if classes is None else _places(where, values, label, classes)

    return Labels(
        {file: numbers(file) for file in train},
        {file: numbers(file) for file in test},
        () if classes is None else tuple(classes.to_pylist()),
    )


def _refuse_differences(folder: Folder, columns: Mapping[str, LabelColumn], label: str) -> None:
    """Raises ParquetError where a label means one thing in one file, and another in the next."""
    (first, column), *others = columns.items()
    for file, other in others:
        if other.is_text != column.is_text:
            raise ParquetError(
                f"{folder}: column {label!r} is {column.values.type} in {first}, and {other.values.type} in {file}.",
                "label",
            )
    of_names = {column.class_names: file for file, column in columns.items() if column.class_names is not None}
    if len(of_names) > 1:
        one, another, *_ = of_names.values()
        raise ParquetError(
            f"{folder}: the metadata of {one} and {another} number the classes of column {label!r} differently.",
            "label",
        )


def _numbers(where: str, values: Any, label: str, most: int) -> Any:
    """Integers as class numbers. Raises ParquetError unless they are 0 to `most` - 1."""
    smallest, largest = pc.min_max(values).as_py().values()
    if smallest >= 0 and largest < most:
        return values.cast(pa.int64())
    wrong = smallest if smallest < 0 else largest
    hint = " (Hugging Face writes -1 where labels are not published.)" if wrong == -1 else ""
    raise ParquetError(
        f"{where}: column {label!r} has {wrong:,}, which is no class number: labels should be 0, 1, 2, ..., and less "
        f"than {most:,} here.{hint}",
        "label",
    )


def _places(where: str, values: Any, label: str, classes: Any) -> Any:
    """Where in `classes` each string is. Raises ParquetError for one that is not there."""
    places = pc.index_in(values, classes)
    if places.null_count:
        raise _unseen(where, label, pc.unique(values.filter(places.is_null())).sort().to_pylist())
    return places.cast(pa.int64())


def _unseen(where: str, label: str, unseen: list[Any]) -> ParquetError:
    shown = listed(map(repr, unseen), SHOWN)
    return ParquetError(f"{where}: column {label!r} has {shown}, which no training image has.", "label")


def _counts(part: Mapping[str, Any]) -> dict[int, int]:
    found = pc.value_counts(pa.chunked_array(list(part.values()), pa.int64()))
    return {entry["values"]: entry["counts"] for entry in found.to_pylist()}
