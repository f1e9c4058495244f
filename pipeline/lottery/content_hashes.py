"""SHA-256 of files that seldom change, read once: the cache folder remembers the hashes by path, size and times.

As git does it: a file that was changed less than two seconds before it was read is not remembered, for it may change
again without another time. What is remembered for a folder is one file, replaced whole. Imports no torch.
"""

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pipeline.lottery.cache_folder import cache_folder

SETTLED_NS = 2 * 10**9
"""Age from which on a file's times tell whether it was changed; those of some file systems are in whole seconds."""
THREADS = 16
"""Files of a network's disk that are asked for at once."""
TOGETHER = 4096
"""Files that are hashed between two looks at the clock."""
SAVE_SECONDS = 60
"""After so long what is hashed is kept, so that a killed first plan of a large set need not begin anew."""
PART = ".part-"
END = b"\0\0"
"""Of an entry; no part of an entry is empty."""


class File(NamedTuple):
    """A file as a walk through its folder found it."""

    path: str
    """Relative to the folder."""
    size: int
    mtime_ns: int
    ctime_ns: int

    @property
    def stamp(self) -> bytes:
        """What tells it, as it is, from what it was before."""
        return b"%b\0%d\0%d\0%d\0" % (os.fsencode(self.path), self.size, self.mtime_ns, self.ctime_ns)


def content_hashes(folder: Path, files: Sequence[File]) -> list[bytes]:
    """SHA-256 of each of the files below `folder`, in hexadecimal. Raises OSError for a file that cannot be read.

    A cache folder that cannot be used costs time, nothing else.
    """
    kept = cache_folder() / "contents" / hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()
    known = _read(kept)
    if not all(file.stamp in known for file in files):
        with _alone(kept):  # who comes second finds what the first has hashed
            known |= _read(kept)
            _hash(folder, files, known, kept)
    return [known[file.stamp] for file in files]


def _hash(folder: Path, files: Sequence[File], known: dict[bytes, bytes], kept: Path) -> None:
    """Adds to `known` what it lacks, and keeps what will not change unseen."""
    unsettled: set[bytes] = set()
    missing = (file for file in files if file.stamp not in known)
    saved = time.monotonic()

    def save() -> None:
        settled = known.keys() - unsettled
        _write(kept, {stamp: known[stamp] for file in files if (stamp := file.stamp) in settled})

    with ThreadPoolExecutor(THREADS) as threads:
        while some := list(islice(missing, TOGETHER)):
            for file, (content, settled) in zip(some, threads.map(partial(_hash_of, folder), some), strict=True):
                known[file.stamp] = content
                if not settled:
                    unsettled.add(file.stamp)
            if time.monotonic() - saved > SAVE_SECONDS:
                save()
                saved = time.monotonic()
    save()


def _hash_of(folder: Path, file: File) -> tuple[bytes, bool]:
    """Its hash in hexadecimal, and whether the file is sure to get other times if it changes."""
    digest = hashlib.sha256()
    with open(f"{folder}/{file.path}", "rb", buffering=0) as opened:  # noqa: PTH123 (a million files)
        while block := opened.read(2**20):
            digest.update(block)
        now, status = time.time_ns(), os.fstat(opened.fileno())
    as_found = (status.st_size, status.st_mtime_ns, status.st_ctime_ns) == file[1:]
    settled = max(file.mtime_ns, file.ctime_ns) < now - SETTLED_NS
    return digest.hexdigest().encode(), as_found and settled


def _read(kept: Path) -> dict[bytes, bytes]:
    """Hashes by stamp; none if there is no such file, or if it is damaged."""
    try:
        data = kept.read_bytes()
    except OSError:
        return {}
    check, body = data[:64], data[64:]
    if hashlib.sha256(body).hexdigest().encode() != check:
        return {}
    return {entry[:-64]: entry[-64:] for entry in body.split(END) if entry}


def _write(kept: Path, hashes: Mapping[bytes, bytes]) -> None:
    body = b"".join(stamp + content + END for stamp, content in hashes.items())
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(prefix=f"{PART}{kept.name}-", dir=kept.parent)
        try:
            with open(descriptor, "wb") as stream:  # noqa: PTH123 (a descriptor)
                stream.write(hashlib.sha256(body).hexdigest().encode() + body)
            os.replace(part, kept)  # noqa: PTH105 (both are strings here)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _alone(kept: Path) -> Iterator[None]:
    """While other processes of this machine wait; where nothing can be locked, each reads and writes by itself."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(kept.with_suffix(".lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in kept.parent.glob(f"{PART}{kept.name}-*"):  # of a process that was killed
                left.unlink()
        yield
