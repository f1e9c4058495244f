"""Exclusive or: the four points of Frankle & Carbin 2018, section 2, as images of two pixels."""

from pathlib import Path

import numpy as np

from pipeline.lottery.data.raw import RawSet, in_memory, raw_set
from pipeline.recipes.datasets import DataSet


def xor(data: DataSet, root: Path, location: str | None) -> RawSet:
    """(0, 0) and (1, 1) are of class 0, (0, 1) and (1, 0) of class 1; models see them as they are, not normalized."""
    points = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.uint8)
    part = in_memory(255 * points[:, None, None], points.sum(axis=1) % 2, "xor")  # [4, 1, 1, 2]
    return raw_set(part, part, "xor", statistics=((0.0,), (1.0,)))
