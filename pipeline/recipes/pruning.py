"""A pruning: from trained weights, and the mask that they were trained with, to the next mask."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.recipes.criteria import OF_UNITS, BuiltInCriterion, Criterion, criterion_from
from pipeline.recipes.errors import UnfitError, check_count, made
from pipeline.recipes.keys import RECIPE
from pipeline.recipes.references import Reference
from pipeline.recipes.rules import ByUnits, Rule, check_layers, rule_from


@dataclass(frozen=True, slots=True)
class Prune:
    trained: Reference
    layers: tuple[str, ...]
    """Parameters that are pruned, in model order."""
    seed: int
    rule: Rule
    mask: Reference | None = None
    """Of the weights that are pruned already; None if there are none."""
    criterion: Criterion = BuiltInCriterion()
    initial: Reference | None = None
    """What the training that is pruned started from, before its mask; for criteria that need it alone."""

    def __post_init__(self) -> None:
        check_count("seed", self.seed, 0)
        if not self.layers:
            raise UnfitError("A pruning is of at least one layer.")
        if self.rule.of_layers:
            check_layers(self.rule, self.layers)
        if (self.initial is not None) != ("initial" in self.criterion.needs):
            needs = "needs" if self.initial is None else "does not read"
            raise UnfitError(f"The criterion {self.criterion.fields()} {needs} the initial weights.")
        of_units = isinstance(self.criterion, BuiltInCriterion) and self.criterion.name in OF_UNITS
        if of_units != isinstance(self.rule, ByUnits):
            raise UnfitError(f"The criterion {self.criterion.fields()} does not go with the rule {self.rule.fields()}.")

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Prune":
        """Of a prune stage, as a store's record has them. Raises UnfitError."""
        own = {name: value for name, value in fields.items() if name not in ("kind", "recipe")}
        readers = {
            **dict.fromkeys(("trained", "mask", "initial"), Reference.from_fields),
            "rule": rule_from,
            "criterion": criterion_from,
        }
        return made(cls, own | {name: read(own[name]) for name, read in readers.items() if name in own}, "A pruning")

    @property
    def inputs(self) -> dict[str, Reference]:
        """Role -> what is read."""
        read = {"trained": self.trained, "mask": self.mask, "initial": self.initial}
        return {role: reference for role, reference in read.items() if reference is not None}

    def fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "kind": "prune",
            "recipe": RECIPE,
            **{role: reference.fields() for role, reference in self.inputs.items()},
            "layers": list(self.layers),
            "seed": self.seed,
            "rule": self.rule.fields(),
        }
        if self.criterion != BuiltInCriterion():
            fields["criterion"] = self.criterion.fields()
        return fields
