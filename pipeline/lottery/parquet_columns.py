"""The two columns of a Parquet file of images: what they may hold, checked without reading an image. No torch."""

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.lottery.locations import Folder
from pipeline.lottery.parquet_files import ParquetError

IMAGES = "Images are {bytes, path} with the bytes embedded, or plain binary."


@dataclass(frozen=True)
class LabelColumn:
    """Of one file."""

    values: Any
    """A pyarrow array of integers or large strings; none is null."""
    class_names: tuple[str, ...] | None
    """By number, where Hugging Face's metadata has them."""

    @property
    def is_text(self) -> bool:
        return bool(pa.types.is_large_string(self.values.type))


def label_column(folder: Folder, file: str, image: str, label: str) -> LabelColumn | None:
    """The labels of a file whose images are embedded, as far as its footer tells; None if it has no rows.

    Such a file may have columns of no type. An image that is missing is known only where there are statistics.
    Raises ParquetError; where a network failed, from its OSError.
    """
    where = folder.shown(file)
    try:
        opened = pq.ParquetFile(folder.path(file), filesystem=folder.filesystem)
        if not opened.metadata.num_rows:
            return None
        schema = opened.schema_arrow
        for option, column in (("image", image), ("label", label)):
            if (found := schema.names.count(column)) != 1:
                problem = f"has {found} columns" if found else "has no column"
                raise ParquetError(
                    f"{where} {problem} {column!r}; set `{option}:` to one of {', '.join(schema.names)}.", option
                )
        _refuse_images(opened, where, image)
        kind = schema.field(label).type
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        is_text = pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain)
        if not is_text and not pa.types.is_integer(plain):
            raise ParquetError(f"{where}: column {label!r} is {kind}. Labels are integers or strings.", "label")
        values = opened.read(columns=[label])[label].cast(pa.large_string() if is_text else plain).combine_chunks()
        values.validate(full=True)
    except (OSError, pa.ArrowException) as error:
        raise ParquetError(f"{where} cannot be read as Parquet: {error}") from error
    if values.null_count:
        raise ParquetError(
            f"{where}: {values.null_count:,} of {len(values):,} rows of {label!r} have no label.", "label"
        )
    return LabelColumn(values, _class_names(schema, label))


def bytes_of(images: Any) -> Any:
    """The encoded images of a pyarrow array, whichever of both kinds it is of."""
    return pc.struct_field(images, "bytes") if pa.types.is_struct(images.type) else images


def _refuse_images(opened: Any, where: str, image: str) -> None:
    kind = opened.schema_arrow.field(image).type
    is_struct = pa.types.is_struct(kind)
    cells = kind.field("bytes").type if is_struct and kind.get_field_index("bytes") >= 0 else kind
    if not (
        pa.types.is_binary(cells)
        or pa.types.is_large_binary(cells)
        or pa.types.is_binary_view(cells)
        or pa.types.is_fixed_size_binary(cells)
    ):
        raise ParquetError(f"{where}: column {image!r} is {kind}. {IMAGES}", "image")
    path = f"{image}.bytes" if is_struct else image
    leaf = next(number for number in range(len(opened.schema)) if opened.schema.column(number).path == path)
    metadata = opened.metadata
    chunks = (metadata.row_group(group).column(leaf).statistics for group in range(metadata.num_row_groups))
    nulls = sum(chunk.null_count for chunk in chunks if chunk is not None and chunk.has_null_count)
    if nulls:
        raise ParquetError(
            f"{where}: {nulls:,} of {metadata.num_rows:,} rows of {image!r} have no image, or only its path. {IMAGES}",
            "image",
        )


def _class_names(schema: Any, label: str) -> tuple[str, ...] | None:
    """What Hugging Face's metadata calls the classes; None where there is none, or it is not understood."""
    try:
        names = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (ValueError, LookupError, TypeError):
        return None
    return tuple(map(str, names)) if isinstance(names, list) else None
