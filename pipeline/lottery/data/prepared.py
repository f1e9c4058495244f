"""A data set that `tickets prepare` wrote: Parquet shards and, last of all, the manifest that says what they are."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.lottery.data.errors import DataError, may_pass
from pipeline.lottery.data.parquet import data_errors, parquet_part
from pipeline.lottery.data.raw import RawSet, raw_set
from pipeline.lottery.locations import Folder, folder_at
from pipeline.lottery.parquet_labels import read_labels
from pipeline.lottery.published_data import IMAGENET_STATISTICS, PUBLISHED, SQUARE
from pipeline.recipes.datasets import DataSet

MANIFEST = "prepared.json"
IMAGE, LABEL = "image", "label"


@dataclass(frozen=True)
class Shard:
    """One Parquet file."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """`data` are the data fields of what is prepared; a named set that is whole has its name alone."""

    data: dict[str, Any]
    train: list[int]
    """Images by label."""
    test: list[int]
    shards: list[Shard]

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def of(cls, data: bytes, where: str) -> "Manifest":
        """Raises DataError."""
        try:
            fields = json.loads(data)
            counts = {part: [int(count) for count in fields[part]] for part in ("train", "test")}
            return cls(**{**fields, **counts, "shards": [Shard(**shard) for shard in fields["shards"]]})
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{where} is damaged: {error}. Prepare the data set again.") from error


def manifest_in(folder: Folder, name: str = MANIFEST) -> Manifest | None:
    """None where there is no such file. Raises DataError, OSError."""
    try:
        with folder.filesystem.open_input_stream(folder.path(name)) as stream:
            data = bytes(stream.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Manifest.of(data, folder.shown(name))


def prepared_set(data: DataSet, root: Path, location: str | None) -> RawSet | None:
    """The named set as it was prepared at `location`, or in prepared/<name>/ of the data root if it is there.

    The same images in the same order as from the original files. Raises DataError, and OSError about a network.
    """
    name = data.name
    folder = folder_at(location or f"prepared/{name}", root)
    try:
        manifest = manifest_in(folder)
        if manifest is None and location is None:
            return None
        if manifest is None:
            raise DataError(
                f"{folder} has no {MANIFEST}: it is not prepared to its end. Give `tickets prepare {name} {folder}`."
            )
        return _opened(name, manifest, folder)
    except OSError as error:
        if may_pass(error, folder):
            raise
        raise DataError(f"{folder} cannot be read: {error}. Check `prepared` and the data root.") from error


def _opened(name: str, manifest: Manifest, folder: Folder) -> RawSet:
    if manifest.data != {"name": name}:
        raise DataError(f"{folder} holds {json.dumps(manifest.data)}, not the whole of {name}.")
    sizes = folder.sizes()
    for shard in manifest.shards:
        if sizes.get(shard.name) != shard.bytes:
            found = f"has {sizes[shard.name]:,}" if shard.name in sizes else "is missing, has"
            raise DataError(
                f"{folder.shown(shard.name)} {found} of {shard.bytes:,} bytes. "
                f"Give `tickets prepare {name} {folder}`: it makes damaged shards again."
            )
    content = "".join(shard.sha256 for shard in manifest.shards)
    train, test = (
        {shard.name: shard.bytes for shard in manifest.shards if shard.name.startswith(f"{part}-")}
        for part in ("train", "test")
    )
    with data_errors(folder):
        labels = read_labels(folder, train, test, IMAGE, LABEL)
    for counts, counted in ((labels.counts, manifest.train), (labels.test_counts, manifest.test)):
        if counts != {number: count for number, count in enumerate(counted) if count}:
            raise DataError(
                f"{folder} has other labels than {MANIFEST} counts. "
                f"Give `tickets prepare {name} {folder}`: it makes damaged shards again."
            )
    of_train, of_test = (
        parquet_part(folder, files, of_part, IMAGE, content)
        for files, of_part in ((train, labels.train), (test, labels.test))
    )
    large = PUBLISHED[name].counts is None
    return raw_set(of_train, of_test, str(folder), SQUARE if large else None, IMAGENET_STATISTICS if large else None)
