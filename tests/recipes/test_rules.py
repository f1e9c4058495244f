"""Pruning rules: what they take, and what they cannot be."""

from typing import Any

import pytest

from pipeline.recipes.pruning import Prune
from pipeline.recipes.rules import ByRate, ByUnits, ToFraction, rule_from


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"rate": 0.2, "scope": "global", "rates": {"w": 0.1}}, "layerwise"),
        ({"rate": 0.2, "scope": "local"}, "'local'"),
        ({"rate": 1.2}, "between 0 and 1"),
        ({"rate": float("nan")}, "between 0 and 1"),
        ({"rate": 0.2, "scope": "layerwise", "rates": {"w": 1.1}}, "w: 1.1"),
        ({"rate": 0.2, "fraction": 0.5}, "has a rate, a fraction or units"),
        ({"fractions": {"w": 0.5}}, "has a rate, a fraction or units"),
        ({"units": 0}, "at least 1"),
        ({}, "has a rate, a fraction or units"),
    ],
    ids=str,
)
def test_impossible_rules_are_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rule_from(rule)


def test_rates_are_of_what_remains_and_fractions_of_all_rounded_half_to_even() -> None:
    assert [ByRate(0.5).pruned(remaining, 8) for remaining in (5, 3, 1)] == [2, 2, 0]
    assert [ToFraction(0.5).pruned(remaining, 9) for remaining in (9, 6, 2)] == [4, 1, 0]
    own = ByRate(0.2, "layerwise", {"head": 0.1})
    assert (own.pruned(100, 100, "head"), own.pruned(100, 100, "fc")) == (10, 20)


def test_a_rule_has_to_fit_the_layers_and_the_criterion() -> None:
    fields: dict[str, Any] = {"trained": {"stage": "0", "output": "final"}, "layers": ["w"], "seed": 0}
    with pytest.raises(ValueError, match="given for v"):
        Prune.from_fields(fields | {"rule": {"rate": 0.2, "scope": "layerwise", "rates": {"v": 0.1}}})
    with pytest.raises(ValueError, match="does not go with"):
        Prune.from_fields(fields | {"rule": ByUnits(1).fields()})
    with pytest.raises(ValueError, match="name: 'size' must be one of"):
        Prune.from_fields(fields | {"rule": ByRate(0.2).fields(), "criterion": {"name": "size"}})


def test_initial_weights_are_an_input_of_criteria_that_need_them_alone() -> None:
    reference = {"stage": "0", "output": "it0"}
    fields: dict[str, Any] = {"trained": reference, "layers": ["w"], "seed": 0, "rule": ByRate(0.2).fields()}
    own = {"name": "user", "function": "score", "source": "0" * 64}
    assert set(Prune.from_fields(fields).inputs) == {"trained"}
    assert set(Prune.from_fields(fields | {"criterion": own, "initial": reference}).inputs) == {"trained", "initial"}
    with pytest.raises(ValueError, match=r"'score'.*needs the initial weights"):
        Prune.from_fields(fields | {"criterion": own})
    with pytest.raises(ValueError, match=r"'magnitude'.*does not read the initial weights"):
        Prune.from_fields(fields | {"initial": reference})
