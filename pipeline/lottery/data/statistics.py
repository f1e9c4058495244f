"""Mean and standard deviation of the training images as they are used, for normalization."""

import json
from pathlib import Path

import PIL
import torch
from torch import Tensor

from pipeline.lottery.data.cache_folder import cache_folder, made_once
from pipeline.lottery.data.streamed import Streamed
from pipeline.lottery.data.whole_parts import chunks
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.keys import key_of

SMALLEST_STD = 1 / 255
"""One grey level: a channel that never varies is shifted, not divided by zero."""
NAMED_BY_CONTENT = ("parquet", "images")
"""Sets whose content is told by a `fingerprint` alone; that of the others follows from their fields."""
COUNTING = 2
"""To be raised whenever the same fields would give other counts."""


def statistics(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (population) standard deviation of each channel of uint8 [N, C, H, W] pixels / 255, as float32 [C].

    From exact counts of the 256 values, in float64: no rounding that depends on the order of a sum.
    """
    return _moments(_counts(pixels))


def streamed_statistics(pixels: Streamed, data: DataSet) -> tuple[Tensor, Tensor]:
    """The same numbers for images that are not in memory, from decoding them once: the result is kept on disk.

    Not that of a user's function, which may read what it likes. Raises DataError.
    """
    if data.name == "user" or (data.name in NAMED_BY_CONTENT and data.fingerprint is None):
        return _moments(_streamed_counts(pixels))
    made_by = key_of({"data": data.fields(), "counting": COUNTING, "pillow": PIL.__version__})
    file = cache_folder() / "statistics" / f"{made_by}.json"
    made_once(file, lambda part: _write(part, _streamed_counts(pixels)))
    return _moments(torch.tensor(json.loads(file.read_bytes()), dtype=torch.int64))


def _write(part: Path, counts: Tensor) -> None:
    part.write_text(json.dumps(counts.tolist()))


def _streamed_counts(pixels: Streamed) -> Tensor:
    total = torch.zeros(pixels.shape[1], 256, dtype=torch.int64)
    for chunk in chunks(pixels):
        total += _counts(chunk)
    return total


def _counts(pixels: Tensor) -> Tensor:
    """int64 [C, 256]: how often each value occurs."""
    return torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in pixels.unbind(1)])


def _moments(counts: Tensor) -> tuple[Tensor, Tensor]:
    values = torch.arange(256, dtype=torch.float64) / 255
    share = counts.double() / counts.sum(1, keepdim=True)
    mean = share @ values
    variance = (share * (values - mean[:, None]) ** 2).sum(1)
    return mean.float(), variance.sqrt().clamp_min(SMALLEST_STD).float()
