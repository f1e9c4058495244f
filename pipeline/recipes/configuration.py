"""A training configuration: what all trainings on a source or a target have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.recipes.augmentation import Augment
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.errors import UnfitError, check_count, check_one_of, made
from pipeline.recipes.model_base import ImageShape
from pipeline.recipes.models import Model, model_from
from pipeline.recipes.optimizers import Optimizer, optimizer_from
from pipeline.recipes.schedule import LrDecay, Schedule

PRECISIONS = ("fp32", "bf16")
_SCHEDULE = ("batch_size", "iterations", "record_every", "lr_decay")


@dataclass(frozen=True)
class Configuration:
    """A model on the images of a data set, and how it is trained there."""

    model: Model
    input: ImageShape
    classes: int
    data: DataSet
    optimizer: Optimizer
    schedule: Schedule
    augment: Augment = Augment()
    precision: str = "fp32"
    channels_last: bool = False
    compile: bool = False
    frozen: str | None = None
    """`features`: everything but the head stays as it starts."""
    norm_batch: int | None = None
    """Batch norm statistics are over groups of so many images."""
    norm_groups: int | None = None
    """Groups on each worker, where the last batch was split in another way at first."""
    world_size: int = 1
    """Workers that train as one; each has batch norm statistics of its own."""

    def __post_init__(self) -> None:
        check_count("number of classes", self.classes)
        if len(self.input) != 3:
            raise UnfitError(f"Images have channels, height and width, not {self.input}.")
        check_one_of("The precision", self.precision, PRECISIONS)
        if self.frozen is not None:
            check_one_of("What is frozen", self.frozen, ("features",))
        check_count("number of workers", self.world_size)
        if self.norm_batch is not None:
            check_count("number of images whose batch norm statistics are one", self.norm_batch)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Configuration":
        """Raises UnfitError."""
        own = {name: value for name, value in fields.items() if name not in _SCHEDULE}
        schedule = {name: fields[name] for name in _SCHEDULE if name in fields}
        if "lr_decay" in schedule:
            schedule["lr_decay"] = LrDecay.from_fields(schedule["lr_decay"])
        readers = {
            "model": model_from,
            "data": DataSet.from_fields,
            "optimizer": optimizer_from,
            "augment": Augment.from_fields,
        }
        own |= {name: read(own[name]) for name, read in readers.items() if name in own}
        own["schedule"] = made(Schedule, schedule, "A schedule")
        return made(cls, own, "A training")

    @property
    def groups_a_worker(self) -> int | None:
        """Groups of a batch, on each worker, that batch norm normalizes by themselves; None: the batch is one."""
        if self.norm_batch is None:
            return None
        return self.schedule.batch_size // self.world_size // self.norm_batch

    def learning_rate(self, iteration: int) -> float:
        """Of the iteration after `iteration` iterations."""
        decay = self.schedule.lr_decay
        return self.optimizer.lr if decay is None else decay.rate(self.optimizer.lr, iteration)

    def fields(self) -> dict[str, Any]:
        """As a train stage has them; defaults are left out. What is inside is shared: do not write into it."""
        return dict(self._fields)

    @cached_property
    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "model": self.model.fields(),
            "input": list(self.input),
            "classes": self.classes,
            "data": self.data.fields(),
            "optimizer": self.optimizer.fields(),
            **self.schedule.fields(),
        }
        if augment := self.augment.fields():
            fields["augment"] = augment
        usual = type(self).__dataclass_fields__
        options = ("precision", "channels_last", "compile", "frozen", "norm_batch", "norm_groups", "world_size")
        for name in options:
            if (value := getattr(self, name)) != usual[name].default:
                fields[name] = value
        return fields
