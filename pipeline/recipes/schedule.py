"""How long a training is, in batches of how many images, and its learning rate at each moment."""

from dataclasses import dataclass

from pipeline.recipes.errors import UnfitError
from pipeline.recipes.fields import Keyed
from pipeline.recipes.options import Natural, Positive


@dataclass(frozen=True, slots=True)
class LrDecay(Keyed):
    """At each of `at` iterations the learning rate is multiplied by `factor`, or becomes the next one of `to`."""

    at: tuple[int, ...]
    factor: float | None = None
    to: tuple[float, ...] | None = None

    def check(self) -> None:
        if (self.factor is None) == (self.to is None):
            raise UnfitError("A decay of the learning rate has either a factor or the rates themselves.")
        if list(self.at) != sorted(set(self.at)):
            raise UnfitError("should increase where rates are given for each.", "at")
        if self.to is not None and len(self.to) != len(self.at):
            raise UnfitError(f"has {len(self.to)} rates for the {len(self.at)} moments of at.", "to")

    def rate(self, lr: float, iteration: int) -> float:
        """The learning rate of the iteration after `iteration` iterations, `lr` being the first one."""
        passed = sum(iteration >= milestone for milestone in self.at)
        if self.to is not None:
            return float((lr, *self.to)[passed])
        assert self.factor is not None
        return float(lr * self.factor**passed)


@dataclass(frozen=True, slots=True)
class Schedule(Keyed):
    """Lengths in iterations; of 0, a network is evaluated as it starts."""

    batch_size: Positive
    iterations: Natural
    record_every: Natural
    """Iterations between two records; there is one at the end, too."""
    lr_decay: LrDecay | None = None

    def check(self) -> None:
        if self.iterations and not self.record_every:
            raise UnfitError("record_every: 0 must be at least 1 where there are iterations.")
