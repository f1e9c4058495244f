"""Masks with their bits left packed: read without torch, counted eight weights at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask as a file has it: for each layer its bits (flattened, packed into bytes) and its shape."""

    bits: Mapping[str, Bits]
    """[ceil(size / 8)] by layer; bits beyond the layer's size are 0."""
    shapes: Mapping[str, tuple[int, ...]]


def packed_mask(data: bytes) -> Mask:
    """The mask in a file of the store (`lottery.files.save_mask`), its bits left packed.

    Raises ValueError where the file is damaged or something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        about = json.loads(header["__metadata__"]["ticket-transfer"])
        layers = [(str(name), tuple(shape), int(survivors)) for name, shape, survivors in about["layers"]]
        known = about["format"] == "mask" and about["version"] == 1
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"Not a mask, or damaged ({len(data)} bytes): {error}") from error
    if not known or sorted(arrays) != sorted(name for name, _, _ in layers):
        raise ValueError("Not a mask of a version that this release reads, or without its layers.")
    bits = {}
    for name, shape, survivors in layers:
        size, packed = prod(shape), arrays[name]
        if packed.dtype != np.uint8 or packed.shape != ((size + 7) // 8,):
            raise ValueError(f"The mask of {name} is not the bits of a tensor of shape {list(shape)}.")
        bits[name] = _within(packed, size)
        if survivors_of(bits[name]) != survivors:
            raise ValueError(f"The mask of {name} has not the {survivors} survivors that were written: it is damaged.")
    return Mask(bits, {name: shape for name, shape, _ in layers})


def survivors_of(bits: Bits) -> int:
    """How many bits are set."""
    return int(np.bitwise_count(bits).sum(dtype=np.int64))


def unpacked(mask: Mask, layer: str) -> npt.NDArray[np.bool_]:
    """A layer of a mask in its shape: whether each weight survives."""
    shape = mask.shapes[layer]
    kept: npt.NDArray[np.bool_] = np.unpackbits(mask.bits[layer], count=prod(shape)).astype(bool).reshape(shape)
    return kept


def _within(bits: Bits, size: int) -> Bits:
    """A copy without what padding of the last byte may hold beyond `size` bits, highest bit first."""
    trimmed = bits.copy()
    if size % 8 and len(trimmed):
        trimmed[-1] &= 0xFF << (8 - size % 8) & 0xFF
    return trimmed
