"""Published data sets that lie below the data root in another form: Parquet, or a folder for each class."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from pipeline.lottery.locations import Folder
from pipeline.lottery.parquet_files import ParquetError
from pipeline.lottery.parquet_layout import parts
from pipeline.lottery.published_data import PUBLISHED

LABELS = ("label", "fine_label", "labels", "class")
"""What the column of labels is called, the likeliest first."""


def other_form(name: str, root: Path) -> str | None:
    """How a grid names what seems to be the published set `name`; None where nothing of its name is found."""
    for folder in _candidates(name, root):
        if (found := _parquet(folder, root) or _pictures(folder, root, name)) is not None:
            return found
    return None


def _candidates(name: str, root: Path) -> Iterator[Path]:
    """Folders that are called as the set is, whatever the case and hyphens, and the folders in those."""
    names = {_plain(name), _plain(PUBLISHED[name].torchvision)}
    for above in (root, root / "prepared"):
        called = [folder for folder in _folders(above) if _plain(folder.name) in names]
        yield from called
        for folder in called:
            yield from _folders(folder)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []


def _parquet(folder: Path, root: Path) -> str | None:
    """Parquet files of a training and of a test part, as training would find them."""
    try:
        found = parts(Folder(str(folder.resolve())))
    except (ParquetError, OSError):
        return None
    columns = _columns(folder / next(iter(found.train)))
    if columns is None:
        return None
    options = {option: column for option, column in zip(("image", "label"), columns, strict=True) if column != option}
    return _written({"name": "parquet", "path": folder.relative_to(root).as_posix(), **options})


def _written(options: Mapping[str, str | int]) -> str:
    """The mapping in one line of a grid."""
    return yaml.safe_dump(
        dict(options), default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf
    ).strip()


def _columns(file: Path) -> tuple[str, str] | None:
    """The columns of images and of labels; None where there are none, or the file cannot be read.

    Labels are integers, or strings in a column that is called so: others are names of files.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
    except (OSError, pa.ArrowException):
        return None
    images, labels = [], []
    for field in schema:
        kind = field.type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind = kind.field("bytes").type
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        if any(of_kind(kind) for of_kind in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)):
            images.append(field.name)
        text = any(
            of_kind(plain) for of_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
        )
        if pa.types.is_integer(plain) or (text and field.name in LABELS):
            labels.append(field.name)
    labels.sort(key=lambda label: LABELS.index(label) if label in LABELS else len(LABELS))
    return (images[0], labels[0]) if images and labels else None


def _pictures(folder: Path, root: Path, name: str) -> str | None:
    """train/<class>/ and val/<class>/ or test/<class>/."""
    classes = len(_folders(folder / "train"))
    if classes < 2 or not any(_folders(folder / part) for part in ("val", "test")):
        return None
    size = {"resize": 256, "crop": 224} if PUBLISHED[name].counts is None else {}
    return _written({"name": "images", "path": folder.relative_to(root).as_posix(), **size})
