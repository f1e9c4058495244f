"""What people filter results by: the model, and the optimizers of source and target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.experiment.models import UserModel
from pipeline.experiment.spec import ANY
from pipeline.experiment.user_files import split_reference

if TYPE_CHECKING:
    from pipeline.experiment.grid import Grid
    from pipeline.experiment.models import Model


@dataclass(frozen=True, slots=True)
class PointLabels:
    """Short names, not identities: two optimizers that differ in their learning rate are both `sgd`."""

    model: str
    source_optimizer: str
    """"any" for the source "any"."""
    target_optimizer: str


def labels_of(grid: Grid, source: str, target: str, ticket: str) -> PointLabels:
    """Labels of the points of `grid` with this source, target and ticket (or baseline)."""
    sources = {side.name: side.training.optimizer.name for side in grid.spec.sources}
    targets = {side.name: side.training.optimizer.name for side in grid.spec.targets}
    models = {side.name: side.model for side in grid.spec.targets}
    for baseline in grid.spec.baselines:
        if (baseline.target, baseline.name) == (target, ticket):
            return PointLabels(model_label(baseline.model), ANY, baseline.training.optimizer.name)
    return PointLabels(model_label(models[target]), sources.get(source, ANY), targets[target])


def model_label(model: Model) -> str:
    """`lenet-300-100`, `convnet-16`; a user's model by its class, whose file need not be here."""
    if isinstance(model, UserModel):
        return split_reference(model.source)[1]
    fields = model.recipe().fields()
    sizes = [size for value in fields.values() if not isinstance(value, str) for size in _sizes(value)]
    return "-".join([str(fields["name"]), *map(str, sizes)])


def _sizes(value: object) -> list[int]:
    if isinstance(value, list | tuple):
        return [size for part in value for size in _sizes(part)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []
