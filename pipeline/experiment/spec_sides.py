"""Sources and targets: a data set with the training, resources and, for a source, pruning that go with it."""

from typing import Any, Self

from pydantic import model_validator

from pipeline.experiment.catalogue import AnyDataset
from pipeline.experiment.spec_base import SideName, Strict, refuse
from pipeline.experiment.spec_pruning import Prune
from pipeline.experiment.spec_training import Resources, Training


def _not_a_targets(raw: Any) -> Any:
    """`model` under a source or a target is a natural thing to try: say why it cannot be."""
    if isinstance(raw, dict) and "model" in raw:
        raise refuse(
            "the model is common to the whole grid: a ticket fits one architecture. Set it at the top.", "model"
        )
    return raw


class Target(Strict):
    """A training configuration that tickets are evaluated on."""

    name: SideName
    dataset: AnyDataset
    training: Training
    resources: Resources = Resources()

    @model_validator(mode="before")
    @classmethod
    def _fitting_keys(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "prune" in raw and "prune" not in cls.model_fields:
            raise refuse("tickets are found on sources; a target has no prune.", "prune")
        return _not_a_targets(raw)

    @classmethod
    def written_keys(cls) -> list[str]:
        return [*cls.model_fields, "grid"]

    @model_validator(mode="after")
    def _batches_split(self) -> Self:
        if self.training.batch_size % self.resources.workers:
            raise refuse(f"does not divide the batch size of {self.training.batch_size}.", "resources", "workers")
        return self


class Source(Target):
    """A training configuration that tickets are found on."""

    prune: Prune

    @model_validator(mode="after")
    def _remainder_is_left(self) -> Self:
        if self.training.after_rewind == "remainder" and isinstance(self.prune.rewind, str):
            raise refuse(
                f"remainder needs a rewind to steps; with rewind: {self.prune.rewind} nothing is left to train.",
                "training",
                "after_rewind",
            )
        return self
