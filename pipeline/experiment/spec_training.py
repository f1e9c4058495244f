"""How a network is trained, and on what resources: the fields of `training` and `resources`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipeline.experiment.of_recipes import OfRecipe, one_of, part_of, written_as
from pipeline.experiment.spec_base import Flag, Length, Number, Positive, Strict, refuse
from pipeline.recipes import augmentation, optimizers, schedule
from pipeline.recipes.steps import Steps


class Optimizer(OfRecipe):
    """How weights follow their gradients."""

    made: ClassVar[type[optimizers.Optimizer]]
    if TYPE_CHECKING:
        name: str = ""

    def recipe(self) -> optimizers.Optimizer:
        return self.made(**self._options())


OPTIMIZERS = written_as(optimizers.OPTIMIZERS, Optimizer)
if not TYPE_CHECKING:
    Optimizer = one_of(OPTIMIZERS)


class LrDecay(Strict):
    """Step decay: at each of `at` the learning rate is multiplied by `factor`, or becomes the next one of `to`."""

    at: Annotated[tuple[Length, ...], Field(min_length=1)]
    factor: Annotated[Number, Field(gt=0, lt=1)] | None = None
    """0.1 unless `to` is given."""
    to: tuple[Annotated[Number, Field(gt=0)], ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_a_tenth(cls, raw: Any) -> Any:
        return {"factor": 0.1, **raw} if isinstance(raw, dict) and raw.get("to") is None else raw

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.to is None:
            return self
        if self.factor is not None:
            raise refuse("cannot go with to: remove one of the two (factor: null).", "factor")
        if len(self.to) != len(self.at):
            raise refuse(f"has {len(self.to)} rates for the {len(self.at)} moments of at.", "to")
        return self

    def recipe(self, moments: Sequence[int]) -> schedule.LrDecay:
        """`moments`: those of `at` in iterations. Raises UnfitError."""
        if self.to is None:
            return schedule.LrDecay(tuple(sorted(set(moments))), self.factor)
        return schedule.LrDecay(tuple(moments), to=self.to)


class _Augment(OfRecipe):
    made: ClassVar[type[augmentation.Augment]]

    def recipe(self) -> augmentation.Augment:
        return self.made(**self._options())


Augment = _Augment
if not TYPE_CHECKING:
    Augment = part_of(augmentation.Augment, _Augment)


def _augment(raw: Any) -> Any:
    if raw == "none":
        return {}
    if isinstance(raw, str) and raw != "default":
        raise refuse(f"should be default, none or a mapping such as {{flip: true, crop: 4}}, not {raw!r}.")
    return None if raw == "default" else raw


class Training(Strict):
    """The training of one network. Lengths in epochs are epochs of the data set trained on.

    A target's `length` may be 0it: its tickets are evaluated as they are, and what is about training is not used.
    """

    optimizer: Optimizer = OPTIMIZERS["sgd"]()
    batch_size: Positive = 128
    length: Length
    lr_decay: LrDecay | None = None
    augment: Annotated[Augment | None, BeforeValidator(_augment)] = None
    """None: the data set's own default."""
    record_every: Length = Steps(epochs=1)
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: Flag = False
    compile: Flag = False
    """torch.compile: fused kernels round differently, so that it is part of what a result means."""
    norm_batch: Positive | None = None
    """Batch norm statistics over groups of so many images (the paper's 256 on one worker); default: the whole batch.

    The smaller last batch of an epoch has as many groups as the others: batch_size / norm_batch devices share it.
    """
    frozen: Literal["features"] | None = None
    """Of targets: everything but the head stays as it starts, the statistics of batch norm included."""
    after_rewind: Literal["full", "remainder"] = "full"
    """How long a rewound network trains: the full schedule, or only what was left of it at the rewind step."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.record_every == Steps():
            raise refuse("should be longer than nothing.", "record_every")
        if self.norm_batch and (self.norm_batch > self.batch_size or self.batch_size % self.norm_batch):
            raise refuse(f"should divide the batch size of {self.batch_size}.", "norm_batch")
        return self


class Resources(Strict):
    """What one lane that runs these trainings holds. Only `workers` changes results: it is the batch norm group."""

    workers: Positive = 1
    gpus_per_worker: Annotated[Number, Field(ge=0, le=1)] = 0.0
    cpus_per_worker: Annotated[Number, Field(gt=0)] = 1.0
    images: Literal["auto", "resident", "streaming"] = "auto"
    """Where images are while a network trains: all in the memory of the device, or decoded a batch at a time."""

    @model_validator(mode="after")
    def _whole_gpus(self) -> Self:
        if self.workers > 1 and self.gpus_per_worker not in (0.0, 1.0):
            raise refuse(
                "a fraction of a GPU is possible for one worker only: set 1, or workers: 1.", "gpus_per_worker"
            )
        return self
