"""How many weights a pruning takes: by a rate, to a fraction, or whole hidden units."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pipeline.recipes.errors import UnfitError
from pipeline.recipes.fields import Keyed
from pipeline.recipes.options import Always, OneOf, Range, Share

SCOPES = ("global", "layerwise")


@dataclass(frozen=True, slots=True)
class ByRate(Keyed):
    """Each round prunes `rate` of the weights that remain: over all layers together, or of each layer."""

    rate: Share
    scope: Annotated[str, OneOf(SCOPES), Always] = "global"
    rates: Mapping[str, Share] = field(default_factory=dict)
    """Layers with a rate of their own."""

    def check(self) -> None:
        _check_layerwise(self.scope, self.rates)

    @property
    def of_layers(self) -> Mapping[str, float]:
        return self.rates

    def pruned(self, remaining: int, total: int, layer: str | None = None) -> int:
        """How many of `remaining` weights go; `layer`: whose they are, where it is one. Rounding is Python's."""
        rate = self.rate if layer is None else self.rates.get(layer, self.rate)
        return round(rate * remaining)


@dataclass(frozen=True, slots=True)
class ToFraction(Keyed):
    """Weights are pruned until `fraction` of all are, and none where that many already are."""

    fraction: Share
    scope: Annotated[str, OneOf(SCOPES), Always] = "global"
    fractions: Mapping[str, Share] = field(default_factory=dict)
    """Layers with a fraction of their own."""

    def check(self) -> None:
        _check_layerwise(self.scope, self.fractions)

    @property
    def of_layers(self) -> Mapping[str, float]:
        return self.fractions

    def pruned(self, remaining: int, total: int, layer: str | None = None) -> int:
        """As `ByRate.pruned`, of `total` weights."""
        fraction = self.fraction if layer is None else self.fractions.get(layer, self.fraction)
        return max(0, remaining - (total - round(fraction * total)))


@dataclass(frozen=True, slots=True)
class ByUnits(Keyed):
    """`units` hidden units a round lose all their weights (Frankle & Carbin 2018, section 2.1)."""

    units: Annotated[int, Range(1)]

    @property
    def of_layers(self) -> Mapping[str, float]:
        return {}


Rule = ByRate | ToFraction | ByUnits


def rule_from(fields: object) -> Rule:
    """The rule that a prune stage's `rule` describes. Raises UnfitError."""
    kinds: dict[str, type[Rule]] = {"rate": ByRate, "fraction": ToFraction, "units": ByUnits}
    given = [name for name in kinds if isinstance(fields, Mapping) and name in fields]
    if len(given) != 1:
        raise UnfitError(f"A pruning rule has a rate, a fraction or units, this one has {fields}.")
    return kinds[given[0]].from_fields(fields)


def check_layers(rule: Rule, layers: Iterable[str]) -> None:
    """Raises UnfitError if the rule has a rate or a fraction for what is none of `layers`."""
    prunable = list(layers)
    if unknown := sorted(set(rule.of_layers) - set(prunable)):
        raise UnfitError(
            f"Rates are given for {', '.join(unknown)}, not prunable here. Prunable: {', '.join(prunable)}."
        )


def _check_layerwise(scope: str, own: Mapping[str, float]) -> None:
    if own and scope == "global":
        raise UnfitError("Rates by layer need scope layerwise: a global rule compares the weights of all layers.")
