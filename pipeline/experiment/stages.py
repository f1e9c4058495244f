"""A stage: one unit of work, named by its content key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.recipes.keys import RECIPE, key_of


@dataclass(frozen=True, slots=True)
class Input:
    """An output of another stage that a stage reads."""

    stage: str
    output: str

    def reference(self) -> dict[str, str]:
        return {"stage": self.stage, "output": self.output}


@dataclass(frozen=True, slots=True)
class Shape:
    """What one lane that runs the stage holds: not part of the key, but for `workers` as `world_size`."""

    workers: int = 1
    gpus_per_worker: float = 0.0
    cpus_per_worker: float = 1.0
    images: str = "auto"
    """`resident`: whole data sets in the device's memory; `streaming`: a batch at a time; `auto`: by their size."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Immutable description of a training run or of the pruning that follows one."""

    key: str
    kind: Literal["train", "prune"]
    fields: Mapping[str, Any]
    inputs: Mapping[str, Input]
    """Role (`mask`, `weights`, `trained`) -> what is read."""
    label: str
    """For people; not in the key."""
    iterations: int
    """Length of the work, for the critical path; 0 for pruning."""
    shape: Shape = Shape()
    locations: Mapping[str, str] = field(default_factory=dict)
    """Where to find what the key names by content: `data` (Parquet, images, user file), `model`, `criterion`."""


def make_stage(
    kind: Literal["train", "prune"],
    fields: Mapping[str, Any],
    inputs: Mapping[str, Input],
    *,
    label: str,
    iterations: int = 0,
    shape: Shape | None = None,
    locations: Mapping[str, str] | None = None,
) -> Stage:
    """Complete `fields` with kind and recipe, and name the stage by them."""
    complete = {"kind": kind, "recipe": RECIPE, **fields}
    return Stage(key_of(complete), kind, complete, inputs, label, iterations, shape or Shape(), locations or {})
