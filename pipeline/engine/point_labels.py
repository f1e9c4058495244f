"""What people filter by: the model and the optimizers behind a point, read from its stages' fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.experiment.grid import Grid, Point

ANY = "any"
"""Source of what does not depend on a source: random tickets keyed by their survivors, and dense networks."""


@dataclass(frozen=True, slots=True)
class PointLabels:
    """Short names, not identities: two optimizers that differ in their learning rate are both `sgd`."""

    model: str
    source_optimizer: str
    target_optimizer: str


def model_label(model: Mapping[str, Any]) -> str:
    """`lenet-300-100`, `convnet-16`; a user's model by its class."""
    if model["name"] == "user":
        return str(model["class"])
    sizes = [size for value in model.values() if not isinstance(value, str) for size in _sizes(value)]
    return "-".join([str(model["name"]), *map(str, sizes)])


def point_labels(grid: Grid) -> dict[Point, PointLabels]:
    """Labels of every point of the grid."""
    sources = _source_optimizers(grid)
    return {
        point: PointLabels(
            model=model_label(grid.stages[point.stage].fields["model"]),
            source_optimizer=sources.get(point.source, ANY),
            target_optimizer=_optimizer(grid, point.stage),
        )
        for point in grid.points
    }


def _source_optimizers(grid: Grid) -> dict[str, str]:
    """What trained each source's chain. A point without a mask (round 0) may be the source's own dense run."""
    found: dict[str, str] = {}
    for point in sorted(grid.points, key=lambda point: point.mask is None):
        if point.source in found or point.source == ANY:
            continue
        if point.mask is not None:
            found[point.source] = _optimizer(grid, grid.stages[point.mask].inputs["trained"].stage)
        else:
            weights = grid.stages[point.stage].inputs.get("weights")
            found[point.source] = _optimizer(grid, weights.stage if weights else point.stage)
    return found


def _optimizer(grid: Grid, train: str) -> str:
    return str(grid.stages[train].fields["optimizer"]["name"])


def _sizes(value: object) -> list[int]:
    if isinstance(value, list | tuple):
        return [size for part in value for size in _sizes(part)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []
