"""What people filter results by: the model, and the optimizers of source and target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.experiment.spec import ANY

if TYPE_CHECKING:
    from pipeline.experiment.grid import Grid


@dataclass(frozen=True, slots=True)
class PointLabels:
    """Short names, not identities: two optimizers that differ in their learning rate are both `sgd`."""

    model: str
    source_optimizer: str
    """"any" for the source "any"."""
    target_optimizer: str


def labels_of(grid: Grid, source: str, target: str) -> PointLabels:
    """Labels of the points of `grid` with this source and target."""
    sources = {side.name: side.training.optimizer.name for side in grid.spec.sources}
    targets = {side.name: side.training.optimizer.name for side in grid.spec.targets}
    return PointLabels(model_label(grid.spec.model.fields()), sources.get(source, ANY), targets[target])


def model_label(model: Mapping[str, Any]) -> str:
    """`lenet-300-100`, `convnet-16`; a user's model by its class."""
    if model["name"] == "user":
        return str(model["class"])
    sizes = [size for value in model.values() if not isinstance(value, str) for size in _sizes(value)]
    return "-".join([str(model["name"]), *map(str, sizes)])


def _sizes(value: object) -> list[int]:
    if isinstance(value, list | tuple):
        return [size for part in value for size in _sizes(part)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []
