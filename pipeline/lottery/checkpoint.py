"""All it takes to continue a training run bit for bit, as safetensors bytes (never pickle)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from pipeline.lottery.history import Record

StateDict = dict[str, Tensor]
"""Tensors of a model or an optimizer by name, as torch's `state_dict`."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What each worker of a group holds for itself."""

    sums: StateDict
    """Loss and correct answers since the last record."""
    seen: int
    """Images since the last record."""
    random: StateDict
    """torch's generators by kind of device, for models that draw (dropout)."""
    buffers: StateDict
    """Those of its model; none for rank 0, whose buffers are the model's."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run after `iteration` iterations; tensors are copies on the CPU."""

    iteration: int
    model: StateDict
    """Parameters, and rank 0's buffers."""
    optimizer: dict[int, StateDict]
    """By the parameter's position; hyperparameters come from the stage's fields."""
    captured: dict[int, StateDict]
    history: list[Record]
    workers: list[WorkerState]
    """By rank."""

    def to_bytes(self) -> bytes:
        """One safetensors file."""
        tensors = _prefixed("model", self.model)
        for rank, own in enumerate(self.workers):
            tensors |= _prefixed(f"sums/{rank}", own.sums)
            tensors |= _prefixed(f"random/{rank}", own.random)
            tensors |= _prefixed(f"buffers/{rank}", own.buffers)
        for position, state in self.optimizer.items():
            tensors |= _prefixed(f"optimizer/{position}", state)
        for iteration, state in self.captured.items():
            tensors |= _prefixed(f"captured/{iteration}", state)
        # safetensors keeps no order of names; captured weights are written in the model's, or their bytes would differ
        rest = {
            "iteration": self.iteration,
            "seen": [own.seen for own in self.workers],
            "history": self.history,
            "names": list(tensors),
        }
        return save(tensors, metadata={"checkpoint": json.dumps(rest, allow_nan=False)})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """The checkpoint that `to_bytes` wrote; ValueError if `data` is something else or is cut short."""
        try:
            tensors = load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            rest = json.loads(header["__metadata__"]["checkpoint"])
            tensors = {name: tensors[name] for name in rest["names"]}
        except (SafetensorError, KeyError, ValueError) as error:
            raise ValueError(f"This is not a whole checkpoint of a training run ({error}): delete it.") from error
        sums, random, buffers = (_numbered(name, tensors) for name in ("sums", "random", "buffers"))
        return cls(
            rest["iteration"],
            dict(_section("model", tensors)),
            _numbered("optimizer", tensors),
            _numbered("captured", tensors),
            rest["history"],
            [
                WorkerState(sums[rank], seen, random[rank], buffers.get(rank, {}))
                for rank, seen in enumerate(rest["seen"])
            ],
        )


def copied(state: StateDict) -> StateDict:
    """Copies on the CPU that share no memory with the original, in row-major order."""
    return {
        name: torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach())
        for name, tensor in state.items()
        if isinstance(tensor, Tensor)  # a user's module may keep other things in its state
    }


def weights_of(model: nn.Module) -> StateDict:
    """A copy of the model's parameters and buffers."""
    return copied(model.state_dict())


def _prefixed(prefix: str, state: StateDict) -> StateDict:
    return {f"{prefix}/{name}": tensor for name, tensor in state.items()}


def _section(name: str, tensors: StateDict) -> Iterator[tuple[str, Tensor]]:
    for full, tensor in tensors.items():
        section, _, rest = full.partition("/")
        if section == name:
            yield rest, tensor


def _numbered(name: str, tensors: StateDict) -> dict[int, StateDict]:
    states: dict[int, StateDict] = {}
    for full, tensor in _section(name, tensors):
        number, _, rest = full.partition("/")
        states.setdefault(int(number), {})[rest] = tensor
    return states
