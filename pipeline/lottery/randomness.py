"""Named random streams: everything random derives from a seed and the name of what it is for."""

import hashlib
import json

import torch


def stream(*names: str | int) -> int:
    """A 63-bit seed from the SHA-256 of the names, so that streams are independent of each other and of call order."""
    digest = hashlib.sha256(json.dumps(names, separators=(",", ":"), ensure_ascii=False).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*names: str | int) -> torch.Generator:
    """A CPU generator for one stream: the same numbers whatever device uses them later."""
    return torch.Generator().manual_seed(stream(*names))
