"""A folder of Parquet files in the Hugging Face image layout: rows, labels and image size without decoding pixels."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pipeline.experiment.datasets import Dataset, Facts, counted
from pipeline.experiment.image_folders import size_of
from pipeline.experiment.suggestions import did_you_mean
from pipeline.experiment.user_files import UnfitError
from pipeline.lottery.locations import Folder, folder_at
from pipeline.lottery.parquet_files import at_once, fingerprint

LAYOUT = "Expected: train*.parquet and test*.parquet (or validation*.parquet, val*.parquet)"


class Parquet(Dataset):
    """`path`: the folder, relative to the data root, or its URI. `image`, `label`: the columns."""

    name: Literal["parquet"] = "parquet"
    path: str
    image: str = "image"
    label: str = "label"

    def facts(self, root: Path) -> Facts:
        try:
            folder = _folder(self.path, root)
            sizes = folder.sizes()
            train = _named(folder, sizes, "train")
            test = _named(folder, sizes, "test", "validation", "val")
            counts = _label_counts(folder, train, self.label, self.image)
            fields: dict[str, Any] = {"fingerprint": fingerprint(folder, {**train, **test})}
            shape = _first_size(folder, next(iter(train)), self.image)
        except OSError as error:
            raise UnfitError(f"{Folder(self.path)} cannot be read: {error}", "path") from error
        fields |= {key: value for key in ("image", "label") if (value := getattr(self, key)) != key}
        return counted(shape, counts, fields=fields, location=folder.place)


def _folder(path: str, root: Path) -> Folder:
    folder = folder_at(path, root)
    if not folder.exists():
        hint = "" if "://" in folder.place else " Give a path below the data root (--data, TICKETS_DATA), or a URI."
        raise UnfitError(f"there is no folder {folder}.{hint}", "path")
    return Folder(str(Path(folder.place).resolve())) if folder.local else folder


def _named(folder: Folder, sizes: dict[str, int], *prefixes: str) -> dict[str, int]:
    """Bytes by name of the files of a part, in name order."""
    for prefix in prefixes:
        if files := {n: size for n, size in sizes.items() if n.startswith(prefix) and n.endswith(".parquet")}:
            return files
    raise UnfitError(f"{folder} has no {' or '.join(f'{prefix}*.parquet' for prefix in prefixes)}. {LAYOUT}.", "path")


def _label_counts(folder: Folder, files: Iterable[str], label: str, image: str) -> tuple[int, ...]:
    of_files = at_once(lambda file: _label_counts_of(folder, file, label, image), files)
    counts: dict[int, int] = {}
    for of_file in of_files:
        for value, count in of_file.items():
            counts[value] = counts.get(value, 0) + count
    if not counts or min(counts) < 0:
        raise UnfitError(f"column {label!r} should hold labels 0, 1, 2, ... and at least one row.", "label")
    return tuple(counts.get(number, 0) for number in range(max(counts) + 1))


def _label_counts_of(folder: Folder, file: str, label: str, image: str) -> dict[int, int]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(folder.path(file), filesystem=folder.filesystem)
        names = opened.schema_arrow.names
        for option, column in (("label", label), ("image", image)):
            if column not in names:
                raise UnfitError(f"{file} has no column {column!r}.{did_you_mean(column, names)}", option)
        column = opened.read(columns=[label])[label]
    except (OSError, pa.ArrowException) as error:
        raise UnfitError(f"{folder.shown(file)} cannot be read as Parquet: {error}", "path") from error
    if not pa.types.is_integer(column.type) or column.null_count:
        raise UnfitError(f"{file}: column {label!r} should hold an integer in every row.", "label")
    return {entry["values"]: entry["counts"] for entry in pc.value_counts(column).to_pylist()}


def _first_size(folder: Folder, file: str, image: str) -> tuple[int, int, int]:
    import pyarrow.parquet as pq

    opened = pq.ParquetFile(folder.path(file), filesystem=folder.filesystem)
    batch = next(opened.iter_batches(batch_size=1, columns=[image]), None)
    value = batch.to_pylist()[0][image] if batch is not None else None
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        raise UnfitError(f"{file}: column {image!r} should hold {{bytes, path}} with the images embedded.", "image")
    return size_of(io.BytesIO(data), f"{file}, row 0")
