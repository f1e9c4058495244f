"""Whether the images of a data set are kept in a device's memory, or streamed to it."""

from typing import Literal

import torch

Residency = Literal["auto", "resident", "streaming"]

CPU_LIMIT = 8 * 2**30
GPU_SHARE = 0.5
"""Of the memory that is free on the device: the rest is for the model, its activations and other lanes."""


def streams(images: str, decoded_bytes: int, device: str, limit: int | None) -> bool:
    """Whether a data set of so many decoded bytes is streamed. It changes no result, only where images wait.

    `auto` streams what is larger than `limit`: by default half of the free memory of a GPU, 8 GiB on a CPU. Raises
    ValueError for another word than auto, resident and streaming.
    """
    if images not in ("auto", "resident", "streaming"):
        raise ValueError(f"Unknown residency {images!r}: use auto, resident or streaming.")
    if images != "auto":
        return images == "streaming"
    return decoded_bytes > (_limit(device) if limit is None else limit)


def _limit(device: str) -> int:
    if torch.device(device).type != "cuda":
        return CPU_LIMIT
    free, _ = torch.cuda.mem_get_info(device)
    return int(free * GPU_SHARE)
