"""How many weights a pruning takes: by a rate, to a fraction, or whole hidden units."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.recipes.errors import UnfitError, check_count, check_one_of, made

SCOPES = ("global", "layerwise")


@dataclass(frozen=True, slots=True)
class ByRate:
    """Each round prunes `rate` of the weights that remain: over all layers together, or of each layer."""

    rate: float
    scope: str = "global"
    rates: Mapping[str, float] = field(default_factory=dict)
    """Layers with a rate of their own."""

    def __post_init__(self) -> None:
        _check(self.scope, {"rate": self.rate}, self.rates)

    @property
    def of_layers(self) -> Mapping[str, float]:
        return self.rates

    def pruned(self, remaining: int, total: int, layer: str | None = None) -> int:
        """How many of `remaining` weights go; `layer`: whose they are, where it is one. Rounding is Python's."""
        rate = self.rate if layer is None else self.rates.get(layer, self.rate)
        return round(rate * remaining)

    def fields(self) -> dict[str, Any]:
        own = {"rates": dict(self.rates)} if self.rates else {}
        return {"rate": self.rate, "scope": self.scope, **own}


@dataclass(frozen=True, slots=True)
class ToFraction:
    """Weights are pruned until `fraction` of all are, and none where that many already are."""

    fraction: float
    scope: str = "global"
    fractions: Mapping[str, float] = field(default_factory=dict)
    """Layers with a fraction of their own."""

    def __post_init__(self) -> None:
        _check(self.scope, {"fraction": self.fraction}, self.fractions)

    @property
    def of_layers(self) -> Mapping[str, float]:
        return self.fractions

    def pruned(self, remaining: int, total: int, layer: str | None = None) -> int:
        """As `ByRate.pruned`, of `total` weights."""
        fraction = self.fraction if layer is None else self.fractions.get(layer, self.fraction)
        return max(0, remaining - (total - round(fraction * total)))

    def fields(self) -> dict[str, Any]:
        own = {"fractions": dict(self.fractions)} if self.fractions else {}
        return {"fraction": self.fraction, "scope": self.scope, **own}


@dataclass(frozen=True, slots=True)
class ByUnits:
    """`units` hidden units a round lose all their weights (Frankle & Carbin 2018, section 2.1)."""

    units: int

    def __post_init__(self) -> None:
        check_count("number of units", self.units)

    @property
    def of_layers(self) -> Mapping[str, float]:
        return {}

    def fields(self) -> dict[str, Any]:
        return {"units": self.units}


Rule = ByRate | ToFraction | ByUnits


def rule_from(fields: Mapping[str, Any]) -> Rule:
    """The rule that a prune stage's `rule` describes. Raises UnfitError."""
    kinds: dict[str, type[Rule]] = {"rate": ByRate, "fraction": ToFraction, "units": ByUnits}
    given = [name for name in kinds if name in fields]
    if len(given) != 1:
        raise UnfitError(f"A pruning rule has a rate, a fraction or units, this one has {dict(fields)}.")
    return made(kinds[given[0]], fields, "A pruning rule")


def check_layers(rule: Rule, layers: Iterable[str]) -> None:
    """Raises UnfitError if the rule has a rate or a fraction for what is none of `layers`."""
    prunable = list(layers)
    if unknown := sorted(set(rule.of_layers) - set(prunable)):
        raise UnfitError(
            f"Rates are given for {', '.join(unknown)}, not prunable here. Prunable: {', '.join(prunable)}."
        )


def _check(scope: str, named: Mapping[str, float], own: Mapping[str, float]) -> None:
    check_one_of("The scope of a pruning", scope, SCOPES)
    if own and scope == "global":
        raise UnfitError("Rates by layer need scope layerwise: a global rule compares the weights of all layers.")
    for name, value in {**named, **own}.items():
        if not 0 <= value <= 1:
            raise UnfitError(f"The pruning rule's {name} is {value}: it must lie between 0 and 1.")
