"""All images of a streamed part, one after another: to keep them in memory, or to count their values."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.lottery.data.decoding import ImageFiles
from pipeline.lottery.data.feed import Feed
from pipeline.lottery.data.source import Arrays
from pipeline.lottery.data.spool import Spool
from pipeline.lottery.data.streamed import Streamed

CHUNK = 256
GROUPS = 8192
"""Images at a time of a source that reads up to them from the start of a group of rows."""
WORTH_PROCESSES = 2000
"""Images below which the start of processes takes longer than they save."""


def read_whole(pixels: Streamed) -> Tensor:
    """uint8 [N, C, H, W]. Raises DataError."""
    if len(pixels) < WORTH_PROCESSES or isinstance(pixels.source, Arrays):
        return pixels.source.read(pixels.indices.tolist(), pixels.geometry, pixels.like)
    whole = torch.empty(pixels.shape, dtype=torch.uint8)
    filled = 0
    for chunk in chunks(pixels):
        whole[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    return whole


def chunks(pixels: Streamed) -> Iterator[Tensor]:
    """uint8 [n, C, H, W] in their order. Raises DataError.

    Decoded by the processes that `pixels` asks for, if its source is quick at any image and safe to fork: a file system
    of Arrow's, open in this process, is neither.
    """
    quick = isinstance(pixels.source, ImageFiles | Spool)
    each = CHUNK if quick else GROUPS
    runs = [range(start, min(start + each, len(pixels))) for start in range(0, len(pixels), each)]
    if not quick or pixels.decoders == 1 or len(pixels) < WORTH_PROCESSES:
        for run in runs:
            yield pixels.read(list(run))
        return
    feed = Feed(pixels, torch.device("cpu"), CHUNK)
    try:
        feed.begin(list(run) for run in runs)
        for run in runs:
            yield feed.take(len(run))
    finally:
        feed.close()
