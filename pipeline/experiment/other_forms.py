"""Published data sets that lie below the data root in another form: Parquet, or a folder for each class."""

import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.lottery.published_data import PUBLISHED

TEST = ("test", "val")
"""What the names of files and folders of the test part begin with; `validation`, too."""
LABELS = ("label", "fine_label", "labels")


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
    """Parquet files of a training and of a test part, in the folder or each in one of its own."""
    files = sorted(file for file in (*folder.glob("*.parquet"), *folder.glob("*/*.parquet")) if file.is_file())
    parts = {file: file.relative_to(folder).parts[0] for file in files}
    train = next((file for file in files if parts[file].startswith("train")), None)
    if train is None or not any(part.startswith(TEST) for part in parts.values()):
        return None
    columns = _columns(train)
    if columns is None:
        return None
    options = {option: column for option, column in zip(("image", "label"), columns, strict=True) if column != option}
    written = {"name": "parquet", "path": folder.relative_to(root).as_posix(), **options}
    return f"{{{', '.join(f'{key}: {value}' for key, value in written.items())}}}"


def _columns(file: Path) -> tuple[str, str] | None:
    """The columns of images and of labels; None where there are none, or the file cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
    except (OSError, pa.ArrowException):
        return None
    images = [
        field.name
        for field in schema
        if pa.types.is_binary(field.type)
        or (pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0)
    ]
    labels = [field.name for field in schema if pa.types.is_integer(field.type)]
    labels.sort(key=lambda label: LABELS.index(label) if label in LABELS else len(LABELS))
    return (images[0], labels[0]) if images and labels else None


def _pictures(folder: Path, root: Path, name: str) -> str | None:
    """train/<class>/ and val/<class>/ or test/<class>/."""
    classes = len(_folders(folder / "train"))
    if classes < 2 or not any(_folders(folder / part) for part in ("val", "test")):
        return None
    size = ", resize: 256, crop: 224" if PUBLISHED[name].counts is None else ""
    return f"{{name: images, path: {folder.relative_to(root).as_posix()}{size}}}"
