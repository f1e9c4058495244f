"""A folder of Parquet files in the Hugging Face image layout: rows, labels and image size without decoding pixels."""

import hashlib
import io
from pathlib import Path
from typing import Any, Literal

from pipeline.experiment.datasets import Dataset, Facts
from pipeline.experiment.image_folders import folder_at, size_of
from pipeline.experiment.suggestions import did_you_mean
from pipeline.experiment.user_files import UnfitError

LAYOUT = "Expected: train*.parquet and test*.parquet (or validation*.parquet, val*.parquet)"


class Parquet(Dataset):
    """`path`: the folder, relative to the data root. `image`, `label`: the columns."""

    name: Literal["parquet"] = "parquet"
    path: str
    image: str = "image"
    label: str = "label"

    def facts(self, root: Path) -> Facts:
        folder = folder_at(self.path, root)
        train, test = _files(folder, "train"), _files(folder, "test", "validation", "val")
        counts = _label_counts(train, self.label, self.image)
        fields: dict[str, Any] = {"fingerprint": _fingerprint([*train, *test])}
        fields |= {key: value for key in ("image", "label") if (value := getattr(self, key)) != key}
        return Facts(_first_size(train[0], self.image), counts, fields=fields, location=str(folder))


def _files(folder: Path, *prefixes: str) -> list[Path]:
    for prefix in prefixes:
        if files := sorted(folder.glob(f"{prefix}*.parquet")):
            return files
    raise UnfitError(f"{folder} has no {' or '.join(f'{prefix}*.parquet' for prefix in prefixes)}. {LAYOUT}.", "path")


def _label_counts(files: list[Path], label: str, image: str) -> tuple[int, ...]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    counts: dict[int, int] = {}
    for file in files:
        try:
            names = pq.read_schema(file).names
            for option, column in (("label", label), ("image", image)):
                if column not in names:
                    raise UnfitError(f"{file.name} has no column {column!r}.{did_you_mean(column, names)}", option)
            column = pq.read_table(file, columns=[label])[label]
        except (OSError, pa.ArrowException) as error:
            raise UnfitError(f"{file} cannot be read as Parquet: {error}", "path") from error
        if not pa.types.is_integer(column.type) or column.null_count:
            raise UnfitError(f"{file.name}: column {label!r} should hold an integer in every row.", "label")
        for entry in pc.value_counts(column).to_pylist():
            counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
    if not counts or min(counts) < 0:
        raise UnfitError(f"column {label!r} should hold labels 0, 1, 2, ... and at least one row.", "label")
    return tuple(counts.get(number, 0) for number in range(max(counts) + 1))


def _first_size(file: Path, image: str) -> tuple[int, int, int]:
    import pyarrow.parquet as pq

    batch = next(pq.ParquetFile(file).iter_batches(batch_size=1, columns=[image]), None)
    value = batch.to_pylist()[0][image] if batch is not None else None
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        raise UnfitError(
            f"{file.name}: column {image!r} should hold {{bytes, path}} with the images embedded.", "image"
        )
    return size_of(io.BytesIO(data), f"{file.name}, row 0")


def _fingerprint(files: list[Path]) -> str:
    """SHA-256 over names, sizes and footers; a footer holds the statistics and offsets of all its file's columns."""
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.name}\0{size}\0".encode())
        with file.open("rb") as opened:
            opened.seek(max(0, size - 8))
            length = int.from_bytes(opened.read(4), "little")
            opened.seek(max(0, size - 8 - length))
            digest.update(opened.read())
    return digest.hexdigest()
