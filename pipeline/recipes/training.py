"""A training: a configuration, from a start, with a seed."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.recipes.configuration import Configuration
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.fields import Fields, Keyed
from pipeline.recipes.keys import RECIPE
from pipeline.recipes.options import Inline, Natural, ReadBy
from pipeline.recipes.references import Reference
from pipeline.recipes.starts import Dense, Start, start_from


@dataclass(frozen=True, slots=True)
class Train(Keyed):
    configuration: Annotated[Configuration, Inline]
    seed: Natural
    round: Natural
    start: Annotated[Start, ReadBy(start_from)] = Dense()
    first_iteration: int = 0
    """Where in the schedule it begins."""

    @classmethod
    def constants(cls) -> Fields:
        return {"kind": "train", "recipe": RECIPE}

    def check(self) -> None:
        first, last = self.first_iteration, self.configuration.schedule.iterations
        if not (0 <= first < last or first == last == 0):
            raise UnfitError(f"A training run from iteration {first} to {last} has no iterations.")

    @property
    def inputs(self) -> dict[str, Reference]:
        """Role -> what is read."""
        return self.start.inputs
