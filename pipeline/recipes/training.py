"""A training: a configuration, from a start, with a seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.recipes.configuration import Configuration
from pipeline.recipes.errors import UnfitError, check_count, made
from pipeline.recipes.keys import RECIPE
from pipeline.recipes.references import Reference
from pipeline.recipes.starts import Dense, Start, start_from

_OWN = ("kind", "recipe", "seed", "round", "start", "first_iteration")


@dataclass(frozen=True, slots=True)
class Train:
    configuration: Configuration
    seed: int
    round: int
    start: Start = Dense()
    first_iteration: int = 0
    """Where in the schedule it begins."""

    def __post_init__(self) -> None:
        check_count("seed", self.seed, 0)
        check_count("round", self.round, 0)
        first, last = self.first_iteration, self.configuration.schedule.iterations
        if not (0 <= first < last or first == last == 0):
            raise UnfitError(f"A training run from iteration {first} to {last} has no iterations.")

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Train":
        """Of a train stage, as a store's record has them. Raises UnfitError."""
        own = {name: fields[name] for name in _OWN[2:] if name in fields}
        own["start"] = start_from(own.get("start", {}))
        rest = {name: value for name, value in fields.items() if name not in _OWN}
        return made(cls, {**own, "configuration": Configuration.from_fields(rest)}, "A training")

    @property
    def inputs(self) -> dict[str, Reference]:
        """Role -> what is read."""
        return self.start.inputs

    def fields(self) -> dict[str, Any]:
        fields = {"kind": "train", "recipe": RECIPE, **self.configuration.fields()}
        fields |= {"seed": self.seed, "round": self.round}
        if start := self.start.fields():
            fields["start"] = start
        if self.first_iteration:
            fields["first_iteration"] = self.first_iteration
        return fields
