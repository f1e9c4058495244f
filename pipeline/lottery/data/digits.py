"""scikit-learn's digits: 1,797 real handwritten digits of 8x8 grey pixels, part of the package, no download."""

from pathlib import Path

import numpy as np

from pipeline.lottery.data.raw import RawSet, in_memory, raw_set
from pipeline.recipes.datasets import DataSet


def digits(data: DataSet, root: Path, location: str | None) -> RawSet:
    """Values 0..16 become round(v * 255 / 16). Every fifth image of a class, in file order, is a test image."""
    # Imported here: scikit-learn takes a second, and only this data set needs it.
    from sklearn.datasets import load_digits

    loaded = load_digits()
    pixels = np.rint(loaded.images * (255 / 16)).astype(np.uint8)[:, None]  # [1797, 1, 8, 8]
    labels = loaded.target.astype(np.int64)
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        test[np.flatnonzero(labels == label)[4::5]] = True
    return raw_set(
        in_memory(pixels[~test], labels[~test], "digits"), in_memory(pixels[test], labels[test], "digits"), "digits"
    )
