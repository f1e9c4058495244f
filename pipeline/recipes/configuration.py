"""A training configuration: what all trainings on a source or a target have in common."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from pipeline.recipes.augmentation import Augment
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.fields import Fields, Keyed
from pipeline.recipes.model_base import ImageShape
from pipeline.recipes.models import Model, model_from
from pipeline.recipes.optimizers import Optimizer, optimizer_from
from pipeline.recipes.options import Inline, OneOf, Positive, ReadBy
from pipeline.recipes.schedule import Schedule


@dataclass(frozen=True)
class Configuration(Keyed):
    """A model on the images of a data set, and how it is trained there."""

    model: Annotated[Model, ReadBy(model_from)]
    input: ImageShape
    classes: Positive
    data: DataSet
    optimizer: Annotated[Optimizer, ReadBy(optimizer_from)]
    schedule: Annotated[Schedule, Inline]
    augment: Augment = Augment()
    precision: Annotated[str, OneOf(("fp32", "bf16"))] = "fp32"
    channels_last: bool = False
    compile: bool = False
    frozen: Annotated[str, OneOf(("features",))] | None = None
    """`features`: everything but the head stays as it starts."""
    norm_batch: Positive | None = None
    """Batch norm statistics are over groups of so many images."""
    norm_groups: int | None = None
    """Groups on each worker, where the last batch was split in another way at first."""
    world_size: Positive = 1
    """Workers that train as one; each has batch norm statistics of its own."""

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

    def fields(self) -> Fields:
        """As a train stage has them; defaults are left out. What is inside is shared: do not write into it."""
        return dict(self._fields)

    @cached_property
    def _fields(self) -> Fields:
        return super().fields()
