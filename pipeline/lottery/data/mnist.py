"""MNIST and Fashion-MNIST from torchvision's own files, or downloaded by torchvision where there is a network.

torchvision itself insists on unpacking the archives beside themselves. Here the archives are read as they are, so a
data root may be read-only and hold nothing else; what is already unpacked is read too.
"""

import gzip
import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.lottery.data.downloading import complete
from pipeline.lottery.data.errors import DataError
from pipeline.lottery.data.raw import RawPart, RawSet, in_memory, raw_set
from pipeline.lottery.published_data import PUBLISHED
from pipeline.recipes.datasets import DataSet


def mnist(data: DataSet, root: Path, location: str | None) -> RawSet:
    """60,000 and 10,000 handwritten digits, 28x28 grey. Raises DataError."""
    return _load("mnist", root)


def fashion_mnist(data: DataSet, root: Path, location: str | None) -> RawSet:
    """60,000 and 10,000 pictures of clothes, 28x28 grey. Raises DataError."""
    return _load("fashion_mnist", root)


def _load(name: str, root: Path) -> RawSet:
    # Imported here: torchvision takes a second, and only these data sets need it.
    from torchvision import datasets

    published = PUBLISHED[name]
    dataset: Any = getattr(datasets, published.torchvision)
    complete(name, root)
    folder = root / published.folder
    md5: dict[str, str] = dict(dataset.resources)

    def part(prefix: str) -> RawPart:
        images, labels = f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-labels-idx1-ubyte.gz"
        pixels = _idx(folder, images, md5[images], dimensions=3)[:, None]
        return in_memory(pixels, _idx(folder, labels, md5[labels], dimensions=1), str(folder))

    return raw_set(part("train"), part("t10k"), str(folder))


def _idx(folder: Path, archive: str, md5: str, dimensions: int) -> NDArray[np.uint8]:
    """The array in an IDX file: 0, 0, 8 (unsigned bytes), dimensions; each size as a big-endian uint32; the values."""
    path = folder / archive
    if path.is_file():
        packed = path.read_bytes()
        found = hashlib.md5(packed, usedforsecurity=False).hexdigest()
        if found != md5:
            raise DataError(
                f"{path} is damaged: its MD5 is {found}, published is {md5}. Delete the file and get it again."
            )
        content = gzip.decompress(packed)
    else:
        path = path.with_suffix("")
        content = path.read_bytes()
    start = 4 + 4 * dimensions
    whole = len(content) >= start and content[:4] == bytes([0, 0, 8, dimensions])
    sizes = [int(size) for size in np.frombuffer(content[4:start], dtype=">u4")] if whole else []
    if not whole or len(content) != start + math.prod(sizes):
        raise DataError(f"{path} is not a whole IDX file of {dimensions} dimensions. Delete the file and get it again.")
    # A copy: torch wants memory that may be written to.
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(sizes).copy()
