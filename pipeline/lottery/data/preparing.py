"""A data set as Parquet shards at any URI, in the layout of Hugging Face: what `tickets prepare` does."""

import contextlib
import fcntl
import hashlib
import itertools
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from pipeline.lottery.data.errors import DataError
from pipeline.lottery.data.prepared import IMAGE, LABEL, MANIFEST, Manifest, Shard, manifest_in
from pipeline.lottery.data.selection import Selection, Subset, select
from pipeline.lottery.data.source import Encoded, png
from pipeline.lottery.data.streamed import streamed
from pipeline.lottery.locations import OBJECT_STORES, Folder
from pipeline.recipes.datasets import DataSet

UNFINISHED = "preparing.json"
"""The manifest while shards are still missing."""
LOCK = ".preparing.lock"
"""Empty; held by the process that prepares in the folder."""
SHARD_BYTES = 100 * 10**6
GROUP = 100
"""Images of a row group: what must be read to get at one of them."""
RESIZED = ("resize", "crop", "channels")
SCHEMA = pa.schema(
    [(IMAGE, pa.struct([("bytes", pa.binary()), ("path", pa.string())])), (LABEL, pa.int64())],
    metadata={
        "huggingface": json.dumps(
            {"info": {"features": {IMAGE: {"_type": "Image"}, LABEL: {"dtype": "int64", "_type": "Value"}}}}
        )
    },
)


Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """A shard that is to be: these rows of a part."""

    name: str
    part: Subset
    rows: slice


def prepare(
    data: DataSet,
    root: Path,
    location: str | None,
    folder: Folder,
    shard_bytes: int = SHARD_BYTES,
    tell: Tell = lambda _: None,
) -> Manifest:
    """Write what `data` chooses as shards of about `shard_bytes`; `tell` hears of every shard.

    Encoded images are kept as they are, unless they are resized, cropped or made to repeat channels; then, and from
    plain arrays, they are PNG. Each shard is written whole. Given again after it was killed it goes on after the shards
    that are there, and given again at the end it checks all of them: what is damaged is named and made anew.
    Raises DataError, OSError, and as `load`.
    """
    fields = data.fields()
    with _alone_in(folder):
        finished = manifest_in(folder)
        begun = finished or manifest_in(folder, UNFINISHED) or Manifest(fields, [], [], [])
        if begun.data != fields:
            raise DataError(
                f"{folder} holds {json.dumps(begun.data)}, not {json.dumps(fields)}. Choose another folder."
            )
        whole = _whole(folder, begun.shards, tell)
        if finished is not None and len(whole) == len(finished.shards):
            _refuse_others(folder, set(whole))
            return finished
        chosen = select(data, root, location, original=location is None)
        encoding = _Resized(chosen) if any(name in fields for name in RESIZED) else _Kept()
        parts = {"train": chosen.train, "test": chosen.test}
        wanted = [
            shard for name, part in parts.items() for shard in _divided(name, part, encoding.size(part) / shard_bytes)
        ]
        _refuse_others(folder, {shard.name for shard in wanted})
        made = _make(folder, wanted, whole, encoding, begun, tell)
        manifest = Manifest(fields, _counts(chosen.train, chosen), _counts(chosen.test, chosen), made)
        _put(folder, MANIFEST, manifest.to_bytes())
        with contextlib.suppress(FileNotFoundError):
            folder.filesystem.delete_file(folder.path(UNFINISHED))
        return manifest


def _whole(folder: Folder, shards: list[Shard], tell: Tell) -> dict[str, Shard]:
    """Those that are as their hashes say, by name."""
    whole: dict[str, Shard] = {}
    sizes = folder.sizes()
    for shard in shards:
        if shard.name not in sizes:
            tell(f"{shard.name}: missing")
        elif sizes[shard.name] != shard.bytes or _digest(folder, shard.name) != shard.sha256:
            tell(f"{shard.name}: damaged")
        else:
            tell(f"{shard.name}: whole")
            whole[shard.name] = shard
    return whole


def _make(
    folder: Folder,
    wanted: list[Wanted],
    whole: dict[str, Shard],
    encoding: "_Kept | _Resized",
    begun: Manifest,
    tell: Tell,
) -> list[Shard]:
    """All shards, those made that are not whole; after each the unfinished manifest says how far it is."""
    for shard in wanted:
        if shard.name in whole:
            continue
        part = replace(shard.part, indices=shard.part.indices[shard.rows], labels=shard.part.labels[shard.rows])
        data = _parquet(encoding.images(part), part)
        _put(folder, shard.name, data)
        whole[shard.name] = Shard(shard.name, len(part.labels), len(data), hashlib.sha256(data).hexdigest())
        _put(folder, UNFINISHED, replace(begun, shards=list(whole.values())).to_bytes())
        tell(f"{shard.name}: made, {len(data) / 1e6:,.1f} MB")
    return [whole[shard.name] for shard in wanted]


def _divided(name: str, part: Subset, size: float) -> Iterator[Wanted]:
    """About `size` shards of as many images each: it follows from the images alone, so it is the same every time."""
    rows = len(part.labels)
    shards = max(1, min(rows, round(size)))
    for number in range(shards):
        begin, end = (edge * rows // shards for edge in (number, number + 1))
        yield Wanted(f"{name}-{number:05d}-of-{shards:05d}.parquet", part, slice(begin, end))


def _refuse_others(folder: Folder, names: set[str]) -> None:
    others = [file for file in folder.sizes() if file.endswith(".parquet") and file not in names]
    if others:
        raise DataError(
            f"{folder} has Parquet files that are no part of this: {', '.join(others[:3])}. "
            "Choose an empty folder, or give the shard size that was given before."
        )


class _Kept:
    """Images as they are stored."""

    def size(self, part: Subset) -> int:
        """About how many bytes the part takes."""
        return part.source.encoded_bytes(part.indices.tolist())

    def images(self, part: Subset) -> Iterator[Encoded]:
        yield from part.source.encoded(part.indices.tolist())


class _Resized:
    """Images as they are used, losslessly."""

    def __init__(self, chosen: Selection) -> None:
        self._geometry = chosen.geometry
        self._like = streamed(chosen.train.source, chosen.train.indices, chosen.geometry, decoders=1).like

    def size(self, part: Subset) -> int:
        """At most how many bytes the part takes."""
        return len(part.labels) * math.prod(self._like.shape)

    def images(self, part: Subset) -> Iterator[Encoded]:
        for indices in _groups(part.indices):
            pixels = part.source.read(indices, self._geometry, self._like)
            yield from (png(image, f"{index}.png") for index, image in zip(indices, pixels, strict=True))


def _parquet(images: Iterator[Encoded], part: Subset) -> bytes:
    stream = pa.BufferOutputStream()
    # Encoded images do not get smaller.
    with pq.ParquetWriter(stream, SCHEMA, compression="none", use_dictionary=False) as writer:
        for labels in _groups(part.labels):
            rows = [{"bytes": image.data, "path": image.name} for image in itertools.islice(images, len(labels))]
            writer.write_table(
                pa.table([pa.array(rows, SCHEMA.field(0).type), pa.array(labels, pa.int64())], schema=SCHEMA)
            )
    return bytes(stream.getvalue())


def _groups(values: Tensor) -> Iterator[list[int]]:
    for start in range(0, len(values), GROUP):
        yield values[start : start + GROUP].tolist()


def _counts(part: Subset, chosen: Selection) -> list[int]:
    return [int(count) for count in part.labels.bincount(minlength=chosen.classes)]


def _digest(folder: Folder, name: str) -> str:
    digest = hashlib.sha256()
    with folder.filesystem.open_input_stream(folder.path(name)) as stream:
        while block := stream.read(2**22):
            digest.update(block)
    return digest.hexdigest()


def _put(folder: Folder, name: str, data: bytes) -> None:
    """Write the file whole: on a disk under another name first, in an object store by one write."""
    if folder.local is None:
        if folder.filesystem.type_name not in OBJECT_STORES:
            folder.filesystem.create_dir(folder.path("").rstrip("/"), recursive=True)
        with folder.filesystem.open_output_stream(folder.path(name)) as stream:
            stream.write(data)
        return
    part = folder.local / f".{name}.part"
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder.local / name)


@contextlib.contextmanager
def _alone_in(folder: Folder) -> Iterator[None]:
    """Make the folder; on a disk, refuse while another process prepares in it. Raises DataError."""
    if folder.local is None:
        yield
        return
    folder.local.mkdir(parents=True, exist_ok=True)
    # A file, open for writing: NFS refuses to lock a folder, or what is open for reading.
    with (folder.local / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(f"Another `tickets prepare` is at work in {folder}. Wait for it, or end it.") from error
        except OSError:  # no locks on this file system: two at once write the same shards, each of them whole
            pass
        yield
