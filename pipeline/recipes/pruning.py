"""A pruning: from trained weights, and the mask that they were trained with, to the next mask."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.recipes.criteria import OF_UNITS, BuiltInCriterion, Criterion, criterion_from
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.fields import Fields, Keyed
from pipeline.recipes.keys import RECIPE
from pipeline.recipes.options import Items, Natural, ReadBy
from pipeline.recipes.references import Reference
from pipeline.recipes.rules import ByUnits, Rule, check_layers, rule_from


@dataclass(frozen=True, slots=True)
class Prune(Keyed):
    trained: Reference
    layers: Annotated[tuple[str, ...], Items(1)]
    """Parameters that are pruned, in model order."""
    seed: Natural
    rule: Annotated[Rule, ReadBy(rule_from)]
    mask: Reference | None = None
    """Of the weights that are pruned already; None if there are none."""
    criterion: Annotated[Criterion, ReadBy(criterion_from)] = BuiltInCriterion()
    initial: Reference | None = None
    """What the training that is pruned started from, before its mask; for criteria that need it alone."""

    @classmethod
    def constants(cls) -> Fields:
        return {"kind": "prune", "recipe": RECIPE}

    def check(self) -> None:
        if self.rule.of_layers:
            check_layers(self.rule, self.layers)
        if (self.initial is not None) != ("initial" in self.criterion.needs):
            needs = "needs" if self.initial is None else "does not read"
            raise UnfitError(f"The criterion {self.criterion.fields()} {needs} the initial weights.")
        of_units = isinstance(self.criterion, BuiltInCriterion) and self.criterion.name in OF_UNITS
        if of_units != isinstance(self.rule, ByUnits):
            raise UnfitError(f"The criterion {self.criterion.fields()} does not go with the rule {self.rule.fields()}.")

    @property
    def inputs(self) -> dict[str, Reference]:
        """Role -> what is read."""
        read = {"trained": self.trained, "mask": self.mask, "initial": self.initial}
        return {role: reference for role, reference in read.items() if reference is not None}
