"""Sources and targets: a model and a data set with the training, resources and, for a source, pruning of theirs."""

from typing import Any, Self

from pydantic import model_validator

from pipeline.experiment.catalogue import AnyDataset
from pipeline.experiment.models import Model
from pipeline.experiment.spec_base import SideName, Strict, refuse
from pipeline.experiment.spec_pruning import Prune
from pipeline.experiment.spec_training import Resources, Training
from pipeline.recipes.steps import Steps


class Target(Strict):
    """A training configuration that tickets are evaluated on."""

    name: SideName
    model: Model
    dataset: AnyDataset
    training: Training
    resources: Resources = Resources()

    @model_validator(mode="before")
    @classmethod
    def _fitting_keys(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "prune" in raw and "prune" not in cls.model_fields:
            raise refuse("tickets are found on sources; a target has no prune.", "prune")
        return raw

    @classmethod
    def written_keys(cls) -> list[str]:
        return [*cls.model_fields, "grid"]

    @model_validator(mode="after")
    def _batches_split(self) -> Self:
        if self.training.batch_size % self.resources.workers:
            raise refuse(f"does not divide the batch size of {self.training.batch_size}.", "resources", "workers")
        of_worker = self.training.batch_size // self.resources.workers
        if self.training.norm_batch and of_worker % self.training.norm_batch:
            raise refuse(
                f"should divide the {of_worker} images of a batch that each of {self.resources.workers} workers has.",
                "training",
                "norm_batch",
            )
        return self


class Baseline(Target):
    """A dense network to show beside the tickets on `target`; what is not given is the target's."""

    target: SideName

    @model_validator(mode="after")
    def _trains(self) -> Self:
        if self.training.length == Steps():
            raise refuse("should be longer than nothing: a baseline is trained.", "training", "length")
        if self.training.frozen is not None:
            raise refuse("a baseline is trained as a whole: leave it out.", "training", "frozen")
        return self


class Source(Target):
    """A training configuration that tickets are found on."""

    prune: Prune

    @model_validator(mode="after")
    def _trains(self) -> Self:
        if self.training.length == Steps():
            what = "should be longer than nothing: tickets are found by training. 0it is for targets"
            raise refuse(f"{what}, which then evaluate tickets as they are.", "training", "length")
        if self.training.frozen is not None:
            raise refuse(
                "a ticket is found by training what is pruned: freeze on targets (targets: [...]), not on a source.",
                "training",
                "frozen",
            )
        return self

    @model_validator(mode="after")
    def _remainder_is_left(self) -> Self:
        if self.training.after_rewind == "remainder" and isinstance(self.prune.rewind, str):
            raise refuse(
                f"remainder needs a rewind to steps; with rewind: {self.prune.rewind} nothing is left to train.",
                "training",
                "after_rewind",
            )
        return self
