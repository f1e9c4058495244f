"""Counts of survivors, known before anything is trained."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.experiment.model_base import Described
from pipeline.experiment.models import Lenet, Perceptron
from pipeline.experiment.spec_pruning import Prune
from pipeline.experiment.survivors import planned_rounds
from pipeline.recipes import models as recipes
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.rules import ByRate, ByUnits, ToFraction

MODEL = Lenet(hidden=(20, 10)).described((1, 8, 8), 10)
LAYERS = MODEL.layers
TOTAL = 64 * 20 + 20 * 10


@given(
    st.floats(0.05, 0.6), st.integers(1, 8), st.sampled_from(["global", "layerwise"]), st.booleans(),
    st.sampled_from(["iterative", "one-shot"]),
)  # fmt: skip
def test_planned_counts_are_those_of_the_pruning_itself(
    rate: float, rounds: int, scope: str, output: bool, method: str
) -> None:
    import torch

    from pipeline.lottery.pruning import prune as prune_weights

    planned = planned_rounds(
        Prune.model_validate(
            {"rate": rate, "rounds": rounds, "scope": scope, "prune_output": output, "method": method}
        ),
        MODEL,
    )
    generator = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(size, generator=generator) for name, size in LAYERS if name in planned.layers}
    mask = None
    for number in range(1, rounds + 1):
        rule = planned.rules[number]
        assert isinstance(rule, ByRate)
        mask = prune_weights(weights, mask, rule)
        assert sum(int(kept.sum()) for kept in mask.values()) == planned.survivors[number]


def test_round_is_pythons_half_to_even() -> None:
    planned = planned_rounds(Prune(rate=0.5, rounds=3), Described((("a", (5,)), ("head", (1,))), recipes.Linear()))
    assert planned.survivors == (5, 3, 1, 1)


def test_fractions_are_cumulative() -> None:
    planned = planned_rounds(Prune(fractions=(0.25, 0.5, 0.9)), MODEL)
    assert planned.survivors == tuple(TOTAL - round(f * TOTAL) for f in (0, 0.25, 0.5, 0.9))
    assert planned.rules[2] == ToFraction(0.5)


def test_rates_by_layer_are_resolved_to_parameters_and_only_where_they_differ() -> None:
    prune = Prune(
        rate=0.2, rounds=1, scope="layerwise", prune_output=True, rates={"head": 0.1, "fc1": 0.2, "fc2.weight": 0.5}
    )
    planned = planned_rounds(prune, MODEL)
    assert planned.rules[1] == ByRate(0.2, "layerwise", {"fc2.weight": 0.5, "head.weight": 0.1})
    assert planned.survivors[1] == sum(
        size - round(rate * size) for size, rate in zip((1280, 200, 100), (0.2, 0.5, 0.1), strict=True)
    )


def test_the_output_layer_is_pruned_by_half_as_much_by_rates_and_by_fractions() -> None:
    """Frankle & Carbin 2018, sections 3.1 and 4.1."""
    of = {"scope": "layerwise", "prune_output": True, "relative": {"head": 0.5}}
    iterative = planned_rounds(Prune.model_validate({"rate": 0.2, "rounds": 1, **of}), MODEL)
    assert iterative.rules[1] == ByRate(0.2, "layerwise", {"head.weight": 0.1})
    assert iterative.survivors[1] == 1280 - 256 + 200 - 40 + 100 - 10
    one_shot = planned_rounds(Prune.model_validate({"fractions": [0.75], "method": "one-shot", **of}), MODEL)
    rule = one_shot.rules[1]
    assert rule is not None
    assert rule.fields() == {"fraction": 0.75, "scope": "layerwise", "fractions": {"head.weight": 0.375}}
    assert one_shot.survivors[1] == 1280 - 960 + 200 - 150 + 100 - 38


def test_units_go_with_their_weights_in_both_layers() -> None:
    planned = planned_rounds(Prune(units=2, rounds=4), Perceptron(hidden=10, networks=7).described((1, 1, 2), 2))
    assert planned.survivors == tuple(7 * left * 3 for left in (10, 8, 6, 4, 2))
    assert planned.rules[3] == ByUnits(2)
    with pytest.raises(UnfitError, match="round 5 leaves none of the 10 hidden units"):
        planned_rounds(Prune(units=2, rounds=5), Perceptron(hidden=10).described((1, 1, 2), 2))
    with pytest.raises(UnfitError, match="one hidden layer"):
        planned_rounds(Prune(units=2, rounds=1), MODEL)


def test_the_papers_30_rounds_prune_99_88_percent() -> None:
    planned = planned_rounds(Prune(rate=0.2, rounds=30), Lenet().described((1, 28, 28), 10))
    assert 1 - planned.survivors[30] / planned.total == pytest.approx(0.9988, abs=5e-5)
    assert (
        planned.total
        == 300 * 784 + 100 * 300
        == sum(math.prod(s) for _, s in recipes.Lenet().layers((1, 28, 28), 10)[:-1])
    )


def test_a_schedule_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(UnfitError, match="round 1 leaves none of the 5"):
        planned_rounds(Prune(rate=0.95, rounds=2), Described((("a", (5,)), ("head", (1,))), recipes.Linear()))
