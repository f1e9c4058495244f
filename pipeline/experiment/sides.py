"""A source or target with its data resolved: the fields that all of its trainings have in common."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pipeline.experiment.catalogue import Data, describe
from pipeline.experiment.last_batches import check_last_batch, regrouped
from pipeline.experiment.models import Described
from pipeline.experiment.spec_sides import Target
from pipeline.experiment.spec_training import Training
from pipeline.experiment.stages import Shape
from pipeline.experiment.user_files import AbsentDataError
from pipeline.recipes.augmentation import Augment
from pipeline.recipes.configuration import Configuration
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.keys import canonical
from pipeline.recipes.model_base import Headed, Layers
from pipeline.recipes.models import Model
from pipeline.recipes.schedule import LrDecay, Schedule
from pipeline.recipes.steps import Steps


@dataclass(frozen=True)
class Side:
    """`at` is its place in the spec: ("sources", 0)."""

    name: str
    at: tuple[str | int, ...]
    data: Data
    model: Described
    configuration: Configuration
    identity: str
    """Equal for two sides exactly if their trainings are the same."""
    data_identity: str
    per_epoch: int
    trains_remainder: bool
    shape: Shape
    locations: dict[str, str]
    keeps_weights: bool
    notes: tuple[str, ...] = ()
    """What a plan and a report say of its data and its model."""

    @property
    def layers(self) -> Layers:
        """Prunable weights, the output layer's last."""
        return self.model.layers

    @property
    def iterations(self) -> int:
        return self.configuration.schedule.iterations

    @cached_property
    def features(self) -> Model:
        """The model but for its head: what a ticket has to fit."""
        model = self.configuration.model
        return replace(model, head=()) if isinstance(model, Headed) else model

    @property
    def head(self) -> tuple[int, ...]:
        """Sizes of the head's hidden layers; none where it is the output layer alone."""
        model = self.configuration.model
        return model.head if isinstance(model, Headed) else ()

    def moment(self, steps: Steps) -> int:
        """`steps` in iterations of this side's data set."""
        return steps.iterations(self.per_epoch)


def side(entry: Target, at: tuple[str | int, ...], root: Path, keeps_weights: bool) -> Side:
    """Resolve `entry` against the catalogue and the files.

    Raises UnfitError, its place relative to `at`; AbsentDataError where what has to be known of the data is not there.
    """
    try:
        data = describe(entry.dataset, root, entry.model.channels)
    except AbsentDataError as error:
        raise AbsentDataError(error.what, "dataset", *error.at) from None
    except UnfitError as error:
        raise UnfitError(error.what, "dataset", *error.at) from None
    model = entry.model.described(data.shape, data.classes)
    check_last_batch(entry, model, data.images)
    per_epoch = -(-data.images // entry.training.batch_size)
    if entry.resources.workers != 1 and entry.model.name == "perceptron":
        raise UnfitError("many networks at once train on one worker.", "resources", "workers")
    configuration = _configuration(entry, model, per_epoch, data)
    locations = {"data": data.location, "model": entry.model.location()}
    resources = entry.resources
    return Side(
        name=entry.name,
        at=at,
        data=data,
        model=model,
        configuration=configuration,
        identity=canonical([configuration.fields(), entry.training.after_rewind]),
        data_identity=canonical([data.recipe.fields(), data.shape]),
        per_epoch=per_epoch,
        trains_remainder=entry.training.after_rewind == "remainder" and configuration.schedule.iterations > 0,
        shape=Shape(resources.workers, resources.gpus_per_worker, resources.cpus_per_worker, resources.images),
        locations={role: file for role, file in locations.items() if file},
        keeps_weights=keeps_weights,
        notes=data.notes + model.notes,
    )


def _configuration(entry: Target, model: Described, per_epoch: int, data: Data) -> Configuration:
    """What is trained: lengths in iterations, and of no iterations nothing that has no meaning then."""
    training, workers = entry.training, entry.resources.workers
    iterations = training.length.iterations(per_epoch)
    schedule = Schedule(
        training.batch_size,
        iterations,
        min(training.record_every.iterations(per_epoch), iterations),
        _decay(training, iterations, per_epoch) if iterations else None,
    )
    augment = data.augment if training.augment is None else training.augment.recipe()
    if augment.window and not data.has_margin:
        raise UnfitError(
            "needs more than is seen: keep pixels around the crop (dataset: {crop: 28, margin: 2}).",
            "training",
            "augment",
            "window",
        )
    whole = training.norm_batch is None or training.norm_batch == training.batch_size // workers
    return Configuration(
        model.recipe,
        data.shape,
        data.classes,
        data.recipe,
        training.optimizer.recipe(),
        schedule,
        augment if iterations else Augment(),
        training.precision,
        training.channels_last,
        training.compile,
        training.frozen,
        None if whole else training.norm_batch,
        None if whole or iterations < per_epoch else regrouped(entry, model, data.images),
        workers,
    )


def _decay(training: Training, iterations: int, per_epoch: int) -> LrDecay | None:
    decay = training.lr_decay
    if decay is None:
        return None
    moments = [steps.iterations(per_epoch) for steps in decay.at]
    for index, moment in enumerate(moments):
        if not 0 < moment < iterations:
            raise UnfitError(
                f"{decay.at[index]} (iteration {moment:,}) is not within the training, which is "
                f"{training.length} ({iterations:,} iterations) long.",
                "training",
                "lr_decay",
                "at",
                index,
            )
    try:
        return decay.recipe(moments)
    except UnfitError as error:
        raise UnfitError(error.what, "training", "lr_decay", *error.at) from None
