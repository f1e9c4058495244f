"""A source or target with its data resolved: the fields that all of its trainings have in common."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.experiment.catalogue import Data, describe
from pipeline.experiment.last_batches import check_last_batch, regrouped
from pipeline.experiment.model_base import Described, Layers
from pipeline.experiment.spec_sides import Target
from pipeline.experiment.stages import Shape
from pipeline.experiment.user_files import AbsentDataError, UnfitError
from pipeline.recipes.keys import canonical
from pipeline.recipes.steps import Steps


@dataclass(frozen=True)
class Side:
    """`at` is its place in the spec: ("sources", 0)."""

    name: str
    at: tuple[str | int, ...]
    data: Data
    model: Described
    template: dict[str, Any]
    """Train fields without seed, round and start."""
    identity: str
    """Equal for two sides exactly if their trainings are the same."""
    data_identity: str
    iterations: int
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
    def features(self) -> dict[str, Any]:
        """The model but for its head: what a ticket has to fit."""
        return {name: value for name, value in self.template["model"].items() if name != "head"}

    @property
    def head(self) -> list[int]:
        """Sizes of the head's hidden layers; none where it is the output layer alone."""
        return list(self.template["model"].get("head", ()))

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
    template = {
        "model": model.fields,
        "input": list(data.shape),
        "classes": data.classes,
        "data": data.fields,
        **_schedule(entry, model, per_epoch, data),
    }
    if entry.resources.workers != 1 and entry.model.name == "perceptron":
        raise UnfitError("many networks at once train on one worker.", "resources", "workers")
    if entry.resources.workers != 1:
        template["world_size"] = entry.resources.workers
    locations = {"data": data.location, "model": entry.model.location()}
    resources = entry.resources
    return Side(
        name=entry.name,
        at=at,
        data=data,
        model=model,
        template=template,
        identity=canonical([template, entry.training.after_rewind]),
        data_identity=canonical([data.fields, data.shape]),
        iterations=template["iterations"],
        per_epoch=per_epoch,
        trains_remainder=entry.training.after_rewind == "remainder" and template["iterations"] > 0,
        shape=Shape(resources.workers, resources.gpus_per_worker, resources.cpus_per_worker, resources.images),
        locations={role: file for role, file in locations.items() if file},
        keeps_weights=keeps_weights,
        notes=data.notes + model.notes,
    )


def _schedule(entry: Target, model: Described, per_epoch: int, data: Data) -> dict[str, Any]:
    """`training` as fields: lengths in iterations, defaults left out, and of no iterations what has no meaning then."""
    training = entry.training
    iterations = training.length.iterations(per_epoch)
    fields: dict[str, Any] = {
        "optimizer": training.optimizer.fields(),
        "batch_size": training.batch_size,
        "iterations": iterations,
        "record_every": min(training.record_every.iterations(per_epoch), iterations),
    }
    if training.lr_decay is not None and iterations:
        moments = [steps.iterations(per_epoch) for steps in training.lr_decay.at]
        for index, moment in enumerate(moments):
            if not 0 < moment < iterations:
                raise UnfitError(
                    f"{training.lr_decay.at[index]} (iteration {moment:,}) is not within the training, which is "
                    f"{training.length} ({iterations:,} iterations) long.",
                    "training",
                    "lr_decay",
                    "at",
                    index,
                )
        try:
            fields["lr_decay"] = training.lr_decay.fields(moments)
        except UnfitError as error:
            raise UnfitError(error.what, "training", "lr_decay", *error.at) from None
    augment = data.augment if training.augment is None else training.augment.fields()
    if augment.get("window") and not data.has_margin:
        raise UnfitError(
            "needs more than is seen: keep pixels around the crop (dataset: {crop: 28, margin: 2}).",
            "training",
            "augment",
            "window",
        )
    if augment and iterations:
        fields["augment"] = augment
    if training.precision != "fp32":
        fields["precision"] = training.precision
    if training.channels_last:
        fields["channels_last"] = True
    if training.compile:
        fields["compile"] = True
    if training.frozen is not None:
        fields["frozen"] = training.frozen
    if training.norm_batch is not None and training.norm_batch != training.batch_size // entry.resources.workers:
        fields["norm_batch"] = training.norm_batch
        if iterations >= per_epoch and (groups := regrouped(entry, model, data.images)):
            fields["norm_groups"] = groups
    return fields
