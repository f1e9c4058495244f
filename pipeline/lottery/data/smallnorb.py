"""Small NORB from the files that its authors published: the images of the left camera.

LeCun, Huang & Bottou 2004: 50 toys of five kinds, ten of each, before two cameras at 9 elevations, 18 azimuths and in 6
lights; five toys of each kind are for training, the other five for testing. That is 24,300 and 24,300 pairs of 96x96
grey images, and these are loaded. Mehta 2019 used the set, but its Table 2 (40,000 and 10,000 images of 28x28)
contradicts what is published; how far images are resized is the grid's to say.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.lottery.data.downloading import complete
from pipeline.lottery.data.errors import DataError
from pipeline.lottery.data.raw import RawPart, RawSet, in_memory, raw_set
from pipeline.lottery.published_data import PUBLISHED
from pipeline.recipes.datasets import DataSet

BYTES, INTEGERS = 0x1E3D4C55, 0x1E3D4C54
"""Magic numbers of a matrix of unsigned bytes and of one of 32-bit integers."""
CAMERAS, LEFT = 2, 0
TRAINING_TOYS, TEST_TOYS = (4, 6, 7, 8, 9), (0, 1, 2, 3, 5)
"""Of each kind, as the second number of their names says."""
PAIRS = 256
"""Read at a time: 4.7 MB."""


def smallnorb(data: DataSet, root: Path, location: str | None) -> RawSet:
    """24,300 and 24,300 toys of five kinds (animal, human, plane, truck, car), 96x96 grey. Raises DataError."""
    complete("smallnorb", root)
    published = PUBLISHED["smallnorb"]
    folder = root / published.folder
    train, test = published.files[:3], published.files[3:]
    return raw_set(
        _part(folder, train, published.images, TRAINING_TOYS),
        _part(folder, test, published.test_images, TEST_TOYS),
        str(folder),
    )


def _part(folder: Path, files: Sequence[str], images: int, toys: Sequence[int]) -> RawPart:
    """`files`: images, labels, and toy, elevation, azimuth and lighting of each."""
    pixels, labels, views = files
    with _matrix(folder, labels, INTEGERS, (images,)) as (path, stream):
        kinds = np.frombuffer(stream.read(), dtype="<i4")
        _check_kinds(kinds, path)
    with _matrix(folder, views, INTEGERS, (images, 4)) as (path, stream):
        _check_views(kinds, np.frombuffer(stream.read(), dtype="<i4").reshape(images, 4), toys, path)
    return in_memory(_left(folder, pixels, images), kinds.astype(np.int64), str(folder))


def _left(folder: Path, name: str, images: int) -> NDArray[np.uint8]:
    """uint8 [N, 1, H, W]: of each pair the left one, while the file is read; the right ones are never kept."""
    _, height, width = PUBLISHED["smallnorb"].shape
    left = np.empty((images, 1, height, width), dtype=np.uint8)
    with _matrix(folder, name, BYTES, (images, CAMERAS, height, width)) as (_, stream):
        for start in range(0, images, PAIRS):
            some = left[start : start + PAIRS]
            pairs = np.frombuffer(stream.read(len(some) * CAMERAS * height * width), dtype=np.uint8)
            some[:, 0] = pairs.reshape(-1, CAMERAS, height, width)[:, LEFT]
    return left


class _Values:
    """The values of a matrix, of which exactly `length` bytes are there to be read. Raises DataError."""

    def __init__(self, stream: BufferedIOBase, length: int, path: Path) -> None:
        self._stream, self._left, self._path = stream, length, path

    def read(self, count: int | None = None) -> bytes:
        wanted = self._left if count is None else count
        found = self._stream.read(wanted)
        self._left -= len(found)
        if len(found) < wanted:
            raise _damaged(self._path, f"it ends {self._left:,} bytes too early")
        return found

    def end(self) -> None:
        if self._stream.read(1):
            raise _damaged(self._path, "there are bytes after the last value")


@contextmanager
def _matrix(folder: Path, name: str, magic: int, sizes: Sequence[int]) -> Iterator[tuple[Path, _Values]]:
    """The path and the values of a matrix in the data set's own binary format, packed or not, all of which are read.

    Little-endian 32-bit integers: the magic number, how many dimensions, the size of each (three sizes at least, those
    without a meaning are ignored); then the values, the last dimension's index changing fastest. Raises DataError.
    """
    path = folder / name
    packed = path.is_file()
    path = path if packed else path.with_suffix("")
    try:
        with gzip.open(path) if packed else path.open("rb") as stream:
            _check_header(stream, path, magic, sizes)
            values = _Values(stream, int(np.prod(sizes)) * (1 if magic == BYTES else 4), path)
            yield path, values
            values.end()  # of a packed file it is the end that compares its checksum
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, f"it cannot be unpacked ({error})") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _check_header(stream: BufferedIOBase, path: Path, magic: int, sizes: Sequence[int]) -> None:
    def integers(count: int) -> list[int]:
        found = stream.read(4 * count)
        if len(found) < 4 * count:
            raise _damaged(path, "it ends within its header")
        return [int(number) for number in np.frombuffer(found, dtype="<u4")]

    found, dimensions = integers(2)
    if found != magic:
        raise _damaged(path, f"its magic number is {found:#010x}, not {magic:#010x}")
    if dimensions != len(sizes):
        raise _damaged(path, f"it has {dimensions} dimensions, not {len(sizes)}")
    stored = integers(max(3, dimensions))[:dimensions]
    if stored != list(sizes):
        raise _damaged(path, f"its size is {_by(stored)}, not {_by(sizes)}")


def _check_kinds(kinds: NDArray[np.int32], path: Path) -> None:
    classes = PUBLISHED["smallnorb"].classes
    if kinds.min() < 0 or kinds.max() >= classes:
        raise _damaged(path, f"its labels are {kinds.min()} to {kinds.max()}, not 0 to {classes - 1}")
    counts = np.bincount(kinds, minlength=classes)
    if len(set(counts.tolist())) > 1:
        raise _damaged(path, f"its classes have {', '.join(f'{n:,}' for n in counts)} images, not all as many")


def _check_views(kinds: NDArray[np.int32], views: NDArray[np.int32], toys: Sequence[int], path: Path) -> None:
    """Each image is of one of the part's toys, and no toy is there twice in one view."""
    found = tuple(np.unique(views[:, 0]).tolist())
    if found != tuple(toys):
        raise _damaged(path, f"its toys are {', '.join(map(str, found))}, not {', '.join(map(str, toys))} of each kind")
    different = len(np.unique(np.column_stack([kinds, views]), axis=0))
    if different != len(kinds):
        raise _damaged(path, f"with the labels beside it there are {different:,} different views, not {len(kinds):,}")


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path} is damaged: {what}. Delete the file and get it again. {PUBLISHED['smallnorb'].source}")


def _by(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
