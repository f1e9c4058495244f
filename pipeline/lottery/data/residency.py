"""Whether the images of a data set are kept in a device's memory, or streamed to it."""

import os
from pathlib import Path
from typing import Literal

import torch

Residency = Literal["auto", "resident", "streaming"]

CPU_LIMIT = 8 * 2**30
CPU_SHARE = 0.25
"""Of the memory that is available on the machine, which other lanes and the page cache want, too."""
GPU_SHARE = 0.5
"""Of the memory that is free on the device: the rest is for the model, its activations and other lanes."""


def streams(images: str, decoded_bytes: int, device: str, limit: int | None, share: float = 1.0) -> bool:
    """Whether a data set of so many decoded bytes is streamed. It changes no result, only where images wait.

    `auto` streams what is larger than `limit`: by default half of the free memory of a GPU times the `share` of the GPU
    that the lane has, in (0, 1]; on a CPU a quarter of the memory that is available, 8 GiB at most. Raises ValueError
    for another word than auto, resident and streaming, and for another share.
    """
    if not 0 < share <= 1:
        raise ValueError(f"Unknown share {share!r} of a device: it must be in (0, 1].")
    if images not in ("auto", "resident", "streaming"):
        raise ValueError(f"Unknown residency {images!r}: use auto, resident or streaming.")
    if images != "auto":
        return images == "streaming"
    return decoded_bytes > (_limit(device, share) if limit is None else limit)


def _limit(device: str, share: float) -> int:
    if torch.device(device).type != "cuda":
        return min(CPU_LIMIT, int(available_bytes() * CPU_SHARE))
    free, _ = torch.cuda.mem_get_info(device)
    return int(free * GPU_SHARE * share)


def available_bytes() -> int:
    """Memory that this machine could still give, as Linux estimates it; elsewhere all that it has."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
