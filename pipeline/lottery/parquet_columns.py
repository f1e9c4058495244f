"""The two columns of a Parquet file of images: what they may hold, checked without reading an image. No torch."""

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.lottery.locations import Folder
from pipeline.lottery.parquet_files import ParquetError, footer
from pipeline.lottery.parquet_footer import null_count

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
        with folder.filesystem.open_input_file(folder.path(file)) as source:
            opened = pq.ParquetFile(source)
            rows, schema = opened.metadata.num_rows, opened.schema_arrow
            if not rows:
                return None
            for option, column in (("image", image), ("label", label)):
                if (found := schema.names.count(column)) != 1:
                    problem = f"has {found} columns" if found else "has no column"
                    raise ParquetError(
                        f"{where} {problem} {column!r}; set `{option}:` to one of {', '.join(schema.names)}.", option
                    )
            path = _path_of_images(schema, where, image)
            plain = _type_of_labels(schema, where, label)
            values = opened.read(columns=[label])[label].cast(plain).combine_chunks()
            values.validate(full=True)
            nulls = null_count(footer(source, source.size()), path)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise ParquetError(f"{where} cannot be read as Parquet: {error}") from error
    if nulls:
        raise ParquetError(
            f"{where}: {nulls:,} of {rows:,} rows of {image!r} have no image, or only its path. {IMAGES}", "image"
        )
    if values.null_count:
        raise ParquetError(
            f"{where}: {values.null_count:,} of {len(values):,} rows of {label!r} have no label.", "label"
        )
    return LabelColumn(values, _class_names(schema, label))


def bytes_of(images: pa.Array) -> pa.Array:
    """The encoded images of a pyarrow array, whichever of both kinds it is of."""
    return pc.struct_field(images, "bytes") if pa.types.is_struct(images.type) else images


def _path_of_images(schema: Any, where: str, image: str) -> list[str]:
    """The path of the encoded images below the schema. Raises ParquetError if the column cannot hold any."""
    kind = schema.field(image).type
    is_struct = pa.types.is_struct(kind)
    cells = kind.field("bytes").type if is_struct and kind.get_field_index("bytes") >= 0 else kind
    if not (
        pa.types.is_binary(cells)
        or pa.types.is_large_binary(cells)
        or pa.types.is_binary_view(cells)
        or pa.types.is_fixed_size_binary(cells)
    ):
        raise ParquetError(f"{where}: column {image!r} is {kind}. {IMAGES}", "image")
    return [image, "bytes"] if is_struct else [image]


def _type_of_labels(schema: Any, where: str, label: str) -> Any:
    """What they are read as: an integer type or large strings. Raises ParquetError for anything else."""
    kind = schema.field(label).type
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain):
        return pa.large_string()
    if pa.types.is_integer(plain):
        return plain
    raise ParquetError(f"{where}: column {label!r} is {kind}. Labels are integers or strings.", "label")


def _class_names(schema: Any, label: str) -> tuple[str, ...] | None:
    """What Hugging Face's metadata calls the classes; None where there is none, or it is not understood."""
    try:
        names = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (ValueError, LookupError, TypeError):
        return None
    return tuple(map(str, names)) if isinstance(names, list) else None
