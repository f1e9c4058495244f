"""How long a training is, in batches of how many images, and its learning rate at each moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.recipes.errors import UnfitError, check_count, made


@dataclass(frozen=True, slots=True)
class LrDecay:
    """At each of `at` iterations the learning rate is multiplied by `factor`, or becomes the next one of `to`."""

    at: tuple[int, ...]
    factor: float | None = None
    to: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if (self.factor is None) == (self.to is None):
            raise UnfitError("A decay of the learning rate has either a factor or the rates themselves.")
        if list(self.at) != sorted(set(self.at)):
            raise UnfitError("should increase where rates are given for each.", "at")
        if self.to is not None and len(self.to) != len(self.at):
            raise UnfitError(f"has {len(self.to)} rates for the {len(self.at)} moments of at.", "to")

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "LrDecay":
        return made(cls, fields, "A decay of the learning rate")

    def rate(self, lr: float, iteration: int) -> float:
        """The learning rate of the iteration after `iteration` iterations, `lr` being the first one."""
        passed = sum(iteration >= milestone for milestone in self.at)
        if self.to is not None:
            return float((lr, *self.to)[passed])
        assert self.factor is not None
        return float(lr * self.factor**passed)

    def fields(self) -> dict[str, Any]:
        if self.to is not None:
            return {"at": list(self.at), "to": list(self.to)}
        return {"at": list(self.at), "factor": self.factor}


@dataclass(frozen=True, slots=True)
class Schedule:
    """Lengths in iterations; of 0, a network is evaluated as it starts."""

    batch_size: int
    iterations: int
    record_every: int
    """Iterations between two records; there is one at the end, too."""
    lr_decay: LrDecay | None = None

    def __post_init__(self) -> None:
        check_count("batch size", self.batch_size)
        check_count("number of iterations", self.iterations, 0)
        check_count("number of iterations between two records", self.record_every, 1 if self.iterations else 0)

    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "batch_size": self.batch_size,
            "iterations": self.iterations,
            "record_every": self.record_every,
        }
        return fields if self.lr_decay is None else fields | {"lr_decay": self.lr_decay.fields()}
