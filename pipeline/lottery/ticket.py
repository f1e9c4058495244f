"""A ticket as a file that anybody can load into their own model.

    from pipeline import Ticket

    ticket = Ticket.load("ticket.safetensors")
    handle = ticket.apply(model)  # any torch.nn.Module of the same architecture, with a head of any size

From then on `model` trains sparse, with any torch optimizer, until `handle.remove()`.
"""

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pipeline.lottery.held_masks import HeldMasks, is_sharded
from pipeline.lottery.layers import head, is_below, names_head
from pipeline.lottery.tensor_files import FormatError, from_bytes, in_order, listed_layers, pack, to_bytes, unpack
from pipeline.lottery.weights import copy_into
from pipeline.lottery.wrapped_models import plain_names, unwrapped


class TicketError(ValueError):
    """A ticket that does not fit the model, or a file that is no ticket: says what and where."""


@dataclass(frozen=True, eq=False)
class Ticket:
    """A mask and the weights that the surviving connections start from.

    Both are copied from what is given, onto the CPU. Raises TicketError if they do not fit each other.
    """

    mask: dict[str, Tensor]
    """Bool by prunable weight: True survives."""
    weights: dict[str, Tensor]
    """The whole state of the starting network (parameters and buffers); pruned weights are 0."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """How it was found: whatever JSON can hold."""

    def __post_init__(self) -> None:
        weights = {name: weight.detach().cpu().clone() for name, weight in self.weights.items()}
        mask = {name: kept.detach().cpu().clone() for name, kept in self.mask.items()}
        for name, kept in mask.items():
            if kept.dtype != torch.bool or name not in weights or weights[name].shape != kept.shape:
                raise TicketError(
                    f"The mask of {name} is not bool, or no weight of its shape, {list(kept.shape)}, is there."
                )
            if not (weights[name].is_floating_point() or weights[name].is_complex()):
                raise TicketError(f"The mask of {name} is of whole numbers ({weights[name].dtype}), not of weights.")
            try:
                weights[name].masked_fill_(~kept, 0)
            except NotImplementedError as error:
                raise TicketError(f"Weights of type {weights[name].dtype} cannot be pruned: {name}.") from error
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "mask", mask)

    def __repr__(self) -> str:
        return f"Ticket({len(self.mask)} masked of {len(self.weights)} tensors, {self.fraction_pruned:.2%} pruned)"

    @property
    def fraction_pruned(self) -> float:
        """Pruned weights / all weights of the masked tensors, in [0, 1]; 0 for a dense ticket."""
        total = sum(kept.numel() for kept in self.mask.values())
        return 1 - sum(int(kept.sum()) for kept in self.mask.values()) / total if total else 0.0

    @classmethod
    def load(cls, path: str | Path) -> "Ticket":
        """Read what `save` wrote. Raises TicketError for a truncated or foreign file, OSError if it cannot be read.

        Safe for a file from a stranger: nothing in it is run, no name in it is a path, and it takes three times its
        size of memory (and up to 200 MB for names). Values are not judged: weights may be NaN, and provenance may
        say anything.
        """
        try:
            tensors, document = from_bytes("ticket", Path(path).read_bytes())
            bits, weights = _under("mask/", tensors), _under("weights/", tensors)
            if len(bits) + len(weights) < len(tensors):
                raise FormatError("It holds tensors that are neither weights nor masks.")
            weights = in_order(weights, document.get("names"))
            for name, shape, _ in listed_layers(document.get("mask")):  # before the bits grow to bytes
                if name not in weights or list(weights[name].shape) != shape:
                    raise FormatError(f"A mask of {name} is listed, but no weight of its shape, {shape}, is there.")
            provenance = document.get("provenance")
            if not isinstance(provenance, dict):
                raise FormatError("The provenance is no mapping.")
            return cls(unpack(bits, document.get("mask")), weights, provenance)
        except (FormatError, TicketError) as error:
            raise TicketError(f"{path} is not a whole ticket. {error}") from error

    def save(self, path: str | Path) -> None:
        """Write one safetensors file: weights, mask in bits, provenance in the metadata. Never half of it.

        Raises TicketError for provenance that JSON cannot hold, OSError where the file cannot be written.
        """
        bits, layers = pack(self.mask)
        tensors = {f"weights/{name}": weight for name, weight in self.weights.items()}
        tensors |= {f"mask/{name}": packed for name, packed in bits.items()}
        try:
            document = {"provenance": self.provenance, "names": list(self.weights), "mask": layers}
            data = to_bytes("ticket", tensors, document)
        except (TypeError, ValueError) as error:
            raise TicketError(f"The ticket's provenance cannot be written as JSON: {error}.") from error
        _write(Path(path), data)

    def apply(self, model: nn.Module) -> HeldMasks:
        """Put weights and mask into `model` and keep its pruned weights at 0 after every step of any torch optimizer.

        The state's names and shapes must be the ticket's. Only an output layer of another size (`model.output_layer` if
        the model names it, else its last Linear) is left alone, with its own values and unmasked; one that the ticket
        masks has to be named. The model may be compiled already, or be in (Distributed)DataParallel. A ticket applied
        later replaces mask and weights.

        The masks are the model's: they hold for optimizers that exist already, with momentum, through `model.to(...)`
        and `load_state_dict` in all of torch's modes, and go along into deep copies and pickles. LBFGS takes several
        trial steps in a call; zeros are restored at the end of it. The handle's `remove()` ends it. A layer that no
        longer holds the parameter of a mask makes the optimizer's step raise `LostMaskError`.

        Raises TicketError, before anything is changed, for another architecture, and for parameters in shards (FSDP).
        """
        inside = unwrapped(model)
        called, plain = type(inside).__name__, plain_names(inside)
        parameters = {plain(name): weight for name, weight in inside.named_parameters(remove_duplicate=False)}
        if any(map(is_sharded, parameters.values())) or any(map(_is_fsdp, inside.modules())):
            raise TicketError(
                f"This {called} is in shards (FSDP, DTensor), and a ticket's mask is of whole tensors: apply it to a "
                "model that is whole on each device, such as one in DistributedDataParallel."
            )
        state = {plain(name): value for name, value in inside.state_dict().items()}
        left = self._other_head(inside, state, plain)
        if (lost := left & self.mask.keys()) and not names_head(inside):
            layer = lost.pop().rpartition(".")[0]
            raise TicketError(
                f"{layer} is masked in the ticket and of another size in this {called}. If it is the output layer, "
                f"say so: model.output_layer = {layer!r}."
            )
        if unknown := [name for name in self.mask if name not in parameters and name not in left]:
            raise TicketError(
                f"The ticket does not fit this {called}: no parameter {', '.join(unknown)}. "
                f"Its parameters: {', '.join(list(parameters)[:5])}, ..."
            )
        try:
            copy_into(state, self.weights, left, called)
        except ValueError as error:
            raise TicketError(f"The ticket does not fit. {error}{self._about_head(state, left)}") from error
        return HeldMasks(inside, {name: kept for name, kept in self.mask.items() if name not in left})

    def _other_head(self, model: nn.Module, state: Mapping[str, Any], plain: Callable[[str], str]) -> set[str]:
        """Names of the output layer's tensors, in the model and the ticket, if the layer is of another size there."""
        try:
            own = plain(head(model))
        except ValueError:
            return set()
        here = {name: _shape(value) for name, value in state.items() if is_below(name, own)}
        there = {name: _shape(weight) for name, weight in self.weights.items() if own and is_below(name, own)}
        there |= {name: _shape(self.weights[name]) for name in here if name in self.weights}
        return {*here, *there} if there and here != there else set()

    def _about_head(self, state: Mapping[str, Any], left: set[str]) -> str:
        """What to do where one layer alone is of another size, and is not the one that was taken for the head."""
        both = state.keys() & self.weights.keys() - left
        layers = {name.rpartition(".")[0] for name in both if _shape(state[name]) != _shape(self.weights[name])}
        return f" If {layers.pop()} is its output layer, say so: model.output_layer = NAME." if len(layers) == 1 else ""


def _shape(value: object) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) and not is_lazy(value) else None


def _is_fsdp(module: nn.Module) -> bool:
    return type(module).__name__ == "FullyShardedDataParallel"


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
