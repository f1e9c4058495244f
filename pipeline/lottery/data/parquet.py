"""Any folder of Parquet files in the layout of Hugging Face image data sets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from pipeline.lottery.data.decoding import decode
from pipeline.lottery.data.images import DataError
from pipeline.lottery.data.raw import RawPart, RawSet, raw_set

LAYOUT = (
    "Expected: train*.parquet and test*.parquet (or validation*.parquet, val*.parquet), "
    "with a column of {bytes, path} images and one of integer labels."
)


def parquet(fields: Mapping[str, Any], root: Path, location: str | None) -> RawSet:
    """Files in name order, rows in file order. Columns: the fields `image` and `label`. Raises DataError."""
    if location is None:
        raise DataError(f"parquet: no folder is given. {LAYOUT}")
    folder = root / location
    train, test = _files(folder, "train"), _files(folder, "test", "validation", "val")
    return raw_set(_part(train, fields), _part(test, fields), str(folder))


def _files(folder: Path, *prefixes: str) -> list[Path]:
    for prefix in prefixes:
        if files := sorted(folder.glob(f"{prefix}*.parquet")):
            return files
    wanted = " or ".join(f"{prefix}*.parquet" for prefix in prefixes)
    problem = f"has no {wanted}" if folder.is_dir() else "is not a folder"
    raise DataError(f"{folder} {problem}. {LAYOUT} Check the location and the data root (--data, TICKETS_DATA).")


def _part(files: list[Path], fields: Mapping[str, Any]) -> RawPart:
    image, label = fields.get("image", "image"), fields.get("label", "label")
    tables = [_table(file, image, label) for file in files]
    labels = torch.cat([torch.from_numpy(table[label].to_numpy().copy()).long() for table in tables])
    names = [f"{file}, row {row}" for file, table in zip(files, tables, strict=True) for row in range(len(table))]
    encoded = [value for table in tables for value in pc.struct_field(table[image], "bytes").to_pylist()]
    for name, value in zip(names, encoded, strict=True):
        if value is None:
            raise DataError(
                f"{name}: the image is a path without its bytes. Write the Parquet with the images embedded."
            )
    return RawPart(
        labels, lambda indices, geometry: decode([(names[i], encoded[i]) for i in indices.tolist()], geometry)
    )


def _table(file: Path, image: str, label: str) -> pa.Table:
    try:
        columns = pq.read_schema(file)
        for column, option in ((image, "image"), (label, "label")):
            if column not in columns.names:
                raise DataError(
                    f"{file} has no column {column!r}; set `{option}:` to one of {', '.join(columns.names)}."
                )
        kind = columns.field(image).type
        if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
            raise DataError(f"{file}: column {image!r} is {kind}. {LAYOUT}")
        if not pa.types.is_integer(columns.field(label).type):
            raise DataError(f"{file}: column {label!r} is {columns.field(label).type}, not integers.")
        table = pq.read_table(file, columns=[image, label])
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} cannot be read as Parquet: {error}") from error
    if table[label].null_count:
        raise DataError(f"{file}: {table[label].null_count} rows of {label!r} have no label.")
    return table
