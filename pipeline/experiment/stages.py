"""A stage: one unit of work, named by its content key."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.recipes.keys import key_of
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.references import Reference
from pipeline.recipes.training import Train


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
    inputs: Mapping[str, Reference]
    """Role (`mask`, `weights`, `trained`) -> what is read."""
    label: str
    """For people; not in the key."""
    iterations: int
    """Length of the work, for the critical path; 0 for pruning."""
    known_recipe: Recipe | None = None
    """None in a grid that a store remembers, whose records of finished stages have it."""
    shape: Shape = Shape()
    locations: Mapping[str, str] = field(default_factory=dict)
    """Where to find what the key names by content: `data` (Parquet, images, user file), `model`, `criterion`."""

    @property
    def recipe(self) -> Recipe:
        """What is done. Raises LookupError where it is not known here."""
        if self.known_recipe is None:
            raise LookupError(f"The recipe of {self.label!r} is not known here.")
        return self.known_recipe

    @property
    def training(self) -> Train:
        """What is trained. Raises LookupError for a pruning, and where it is not known here."""
        if not isinstance(self.recipe, Train):
            raise LookupError(f"{self.label!r} is no training.")
        return self.recipe


def make_stage(
    recipe: Recipe, *, label: str, shape: Shape | None = None, locations: Mapping[str, str] | None = None
) -> Stage:
    """The stage that does what `recipe` says, named by it."""
    kind: Literal["train", "prune"] = "prune"
    iterations = 0
    if isinstance(recipe, Train):
        kind, iterations = "train", recipe.configuration.schedule.iterations - recipe.first_iteration
    key = key_of(recipe.fields())
    return Stage(key, kind, recipe.inputs, label, iterations, recipe, shape or Shape(), locations or {})
