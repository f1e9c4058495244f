"""Weights and masks as bytes: safetensors, the same bytes for the same tensors, masks packed to bits.

A file says in its metadata what it is. That is one entry of JSON: safetensors writes several entries in random order.
"""

import json
from collections.abc import Iterable, Mapping
from math import prod

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

VERSION = 1
ENTRY = "ticket-transfer"
MAX_HEADER = 10_000_000
"""Bytes of names, shapes and metadata; those of a network of a thousand tensors are 100,000. safetensors itself reads
ten times as many, of which Python makes 2 GB."""


class FormatError(ValueError):
    """Bytes that are not what they should be: truncated, damaged, or of another format."""


def to_bytes(kind: str, tensors: Mapping[str, Tensor], document: Mapping[str, object]) -> bytes:
    """One safetensors file of that kind. Tensors may share memory, lie on any device and have any strides."""
    # A name at a time: safetensors refuses tensors that share memory, as tied weights do.
    whole = {name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    about = json.dumps({**document, "format": kind, "version": VERSION}, sort_keys=True, allow_nan=False)
    data: bytes = safetensors.torch.save(whole, {ENTRY: about})
    return data


def from_bytes(kind: str, data: bytes) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Tensors (freshly allocated, on the CPU) and document of a file of that kind.

    Raises FormatError if it is truncated or damaged, not a safetensors file, or of another kind or a newer version.
    """
    header_size = int.from_bytes(data[:8], "little")
    if header_size > MAX_HEADER:
        raise FormatError(f"Not a safetensors file, or one whose header is too large: {header_size} bytes.")
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load(data)
    except (SafetensorError, KeyError) as error:  # KeyError: a type that this torch lacks
        raise FormatError(
            f"Truncated, damaged, or not a safetensors file ({len(data)} bytes): {_escaped(error)}."
        ) from error
    header = json.loads(data[8 : 8 + header_size])
    about = header.get("__metadata__", {}).get(ENTRY)
    if about is None:
        raise FormatError(f"A safetensors file, but not one of ours: its metadata has no entry {ENTRY!r}.")
    try:
        document: dict[str, object] = json.loads(about)
        found, version = document["format"], document["version"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:  # the last: brackets in brackets, thousands deep
        raise FormatError(f"The metadata entry {ENTRY!r} is damaged.") from error
    if found != kind:
        raise FormatError(f"The file holds {found!r}, expected was {kind!r}.")
    if version != VERSION:
        raise FormatError(f"The file is {kind} version {version}; this release reads version {VERSION}.")
    return tensors, document


def save_weights(weights: Mapping[str, Tensor]) -> bytes:
    """A whole state (parameters and buffers) by name."""
    return to_bytes("weights", weights, {"names": list(weights)})


def load_weights(data: bytes) -> dict[str, Tensor]:
    """What `save_weights` wrote, in the same order. Raises FormatError."""
    tensors, document = from_bytes("weights", data)
    return in_order(tensors, document.get("names"))


def in_order(tensors: Mapping[str, Tensor], names: object) -> dict[str, Tensor]:
    """`tensors` in the order of `names`, which the format does not keep. Raises FormatError if they differ."""
    if not isinstance(names, list) or not all(map(_is_name, names)) or sorted(names) != sorted(tensors):
        raise FormatError("The tensors are not those that the metadata lists.")
    return {name: tensors[name] for name in names}


def save_mask(mask: Mapping[str, Tensor]) -> bytes:
    """A mask (bool tensors by layer), one bit a weight."""
    packed, layers = pack(mask)
    return to_bytes("mask", packed, {"layers": layers})


def load_mask(data: bytes) -> dict[str, Tensor]:
    """What `save_mask` wrote, in the same order. Raises FormatError, also where bits, shapes and counts disagree."""
    packed, document = from_bytes("mask", data)
    return unpack(packed, document.get("layers"))


def pack(mask: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[list[object]]]:
    """Bits by layer (uint8, highest bit first, flattened order) and a [name, shape, survivors] for each."""
    bits = {name: torch.from_numpy(np.packbits(kept.cpu().numpy().reshape(-1))) for name, kept in mask.items()}
    return bits, [[name, list(kept.shape), int(kept.sum())] for name, kept in mask.items()]


def unpack(bits: Mapping[str, Tensor], layers: object) -> dict[str, Tensor]:
    """The mask that `pack` packed. Raises FormatError if bits and list of layers do not agree."""
    listed = list(listed_layers(layers))
    if sorted(name for name, _, _ in listed) != sorted(bits):
        raise FormatError("The masks are not those that the metadata lists.")
    mask = {}
    for name, shape, survivors in listed:
        size, packed = prod(shape), bits[name]
        if packed.dtype != torch.uint8 or packed.shape != ((size + 7) // 8,):
            raise FormatError(f"The mask of {name} is not the bits of a tensor of shape {shape}.")
        kept = torch.from_numpy(np.unpackbits(packed.numpy(), count=size).view(bool)).reshape(shape)
        if int(kept.sum()) != survivors:
            raise FormatError(
                f"The mask of {name} has {int(kept.sum())} survivors; {survivors} were written: it is damaged."
            )
        mask[name] = kept
    return mask


def listed_layers(layers: object) -> Iterable[tuple[str, list[int], int]]:
    """Name, shape and number of survivors of each layer that `pack` listed. Raises FormatError."""
    if not isinstance(layers, list):
        raise FormatError("The metadata does not list the mask's layers.")
    for entry in layers:
        match entry:
            case [str(name), list(shape), int(survivors)] if _is_name(name) and _is_shape(shape):
                yield name, shape, survivors
            case _:
                raise FormatError(f"The metadata's entry for a layer of the mask is damaged: {entry}.")


def _escaped(error: Exception) -> str:
    """What another library says of a file, which may quote it: a terminal would obey control characters in it."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in str(error))


def _is_name(name: object) -> bool:
    """Fit to be printed: a terminal obeys control characters in it."""
    return isinstance(name, str) and name.isprintable()


def _is_shape(shape: list[object]) -> bool:
    """Of a tensor that there can be: also where it has no element, the other dimensions are counted."""
    sizes = [size for size in shape if isinstance(size, int) and size >= 0]
    return len(sizes) == len(shape) and prod(max(size, 1) for size in sizes) < 2**63
