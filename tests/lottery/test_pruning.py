"""Pruning: the right number of the right weights."""

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune as reference

from pipeline.lottery.layers import prunable
from pipeline.lottery.models import build
from pipeline.lottery.pruning import CRITERIA, Layers, magnitude, prune
from pipeline.recipes.criteria import OF_WEIGHTS
from pipeline.recipes.models import model_from
from pipeline.recipes.rules import ByRate, ToFraction


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(72, 40)
        self.head = nn.Linear(40, 10)


def survivors(mask: dict[str, torch.Tensor]) -> dict[str, int]:
    return {name: int(kept.sum()) for name, kept in mask.items()}


@pytest.mark.parametrize("scope", ["global", "layerwise"])
@pytest.mark.parametrize("rate", [0.2, 0.37])
def test_ten_rounds_prune_what_torch_prunes_weight_for_weight(scope: str, rate: float) -> None:
    torch.manual_seed(0)
    net = Net()
    names = ["conv", "fc"]
    mask: dict[str, torch.Tensor] | None = None
    for _ in range(10):
        trained = {name: torch.randn_like(weight) for name, weight in prunable(Net()).items()}
        for name in names:  # as if it had been trained: torch keeps the weights under another name once they are pruned
            module = net.get_submodule(name)
            getattr(module, "weight_orig" if mask else "weight").data.copy_(trained[f"{name}.weight"])
            if mask:
                module.weight = module.get_parameter("weight_orig") * module.get_buffer("weight_mask")
        modules = [(net.get_submodule(name), "weight") for name in names]
        if scope == "global":
            reference.global_unstructured(modules, pruning_method=reference.L1Unstructured, amount=rate)
        else:
            for module, name in modules:
                reference.l1_unstructured(module, name, amount=rate)
        mask = prune(trained, mask, ByRate(rate, scope=scope))
        for name in names:
            assert torch.equal(mask[f"{name}.weight"], net.get_submodule(name).get_buffer("weight_mask").bool())


weights_and_masks = st.lists(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=12), min_size=1, max_size=4
).map(
    lambda layers: (
        {f"l{i}": torch.tensor([float(v) for v, _ in layer]) for i, layer in enumerate(layers)},
        {f"l{i}": torch.tensor([kept for _, kept in layer]) for i, layer in enumerate(layers)},
    )
)


@given(weights_and_masks, st.floats(0, 1), st.sampled_from(["global", "layerwise"]))
def test_prunes_the_stated_count_in_a_stable_order_of_magnitude(
    case: tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]], rate: float, scope: str
) -> None:
    weights, mask = case
    new = prune(weights, mask, ByRate(rate, scope=scope))
    places = [(n, i) for n in weights for i in range(len(weights[n])) if mask[n][i]]
    groups = [places] if scope == "global" else [[p for p in places if p[0] == n] for n in weights]
    for group in groups:
        ranked = sorted(group, key=lambda place: abs(weights[place[0]][place[1]].item()))  # stable: the first of equals
        doomed = set(ranked[: round(rate * len(group))])
        for name, i in group:
            assert bool(new[name][i]) == ((name, i) not in doomed)
    for name in weights:
        assert not (new[name] & ~mask[name]).any(), "a pruned weight came back"


@given(weights_and_masks, st.floats(0, 1), st.sampled_from(["global", "layerwise"]))
def test_fraction_counts_all_weights_and_what_is_pruned_already(
    case: tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]], fraction: float, scope: str
) -> None:
    weights, mask = case
    new = prune(weights, mask, ToFraction(fraction, scope=scope))
    groups = [list(weights)] if scope == "global" else [[name] for name in weights]
    for group in groups:
        total = sum(weights[name].numel() for name in group)
        before, after = (sum(int(m[name].sum()) for name in group) for m in (mask, new))
        assert after == min(before, total - round(fraction * total))


def test_of_equal_scores_the_first_weight_of_the_first_layer_goes() -> None:
    weights = {"b": torch.tensor([[1.0, -1.0], [1.0, 1.0]]), "a": torch.ones(2)}
    mask = prune(weights, None, ByRate(0.5))
    assert mask["b"].tolist() == [[False, False], [False, True]]
    assert mask["a"].tolist() == [True, True]


def test_pruned_weights_do_not_count_even_when_they_have_become_the_largest() -> None:
    weights = {"w": torch.tensor([9.0, 1.0, 2.0, float("nan")])}
    mask = {"w": torch.tensor([False, True, True, False])}
    assert prune(weights, mask, ByRate(0.5))["w"].tolist() == [False, False, True, False]


def test_layerwise_rates_override_the_rate() -> None:
    weights = {"fc1.weight": torch.rand(100), "fc2.weight": torch.rand(100)}
    rule = ByRate(0.2, "layerwise", {"fc2.weight": 0.1})
    assert survivors(prune(weights, None, rule)) == {"fc1.weight": 80, "fc2.weight": 90}


def test_a_layer_may_end_up_empty_and_stay_so() -> None:
    weights = {"small": torch.full((10,), 0.01), "large": torch.ones(10)}
    mask = prune(weights, None, ByRate(0.5))
    assert survivors(mask) == {"small": 0, "large": 10}
    assert survivors(prune(weights, mask, ByRate(0.5, scope="layerwise"))) == {"small": 0, "large": 5}


def test_batch_norm_and_biases_are_never_prunable() -> None:
    model = build(model_from({"name": "convnet", "width": 4}), [3, 8, 8], 10)
    assert list(prunable(model)) == ["conv1.weight", "conv2.weight", "conv3.weight"]
    assert list(prunable(model, output=True)) == ["conv1.weight", "conv2.weight", "conv3.weight", "head.weight"]


def test_a_criterion_of_the_user_decides() -> None:
    weights = {"w": torch.tensor([-5.0, 1.0, 3.0, 4.0])}
    assert prune(weights, None, ByRate(0.5), lambda trained, initial, mask: trained)["w"].tolist() == [
        False,
        False,
        True,
        True,
    ]
    assert CRITERIA["magnitude"] is magnitude


def test_a_criterion_sees_what_the_training_started_from_and_only_a_copy_of_the_mask() -> None:
    weights, initial = {"w": torch.tensor([5.0, 4.0, 3.0, 9.0])}, {"w": torch.tensor([4.5, 1.0, 4.0, 2.0])}
    mask = {"w": torch.tensor([True, True, True, False])}
    seen: list[list[float]] = []

    def moved(trained: Layers, initial: Layers, mask: Layers) -> Layers:
        seen.extend(layers["w"].tolist() for layers in (trained, initial, mask))
        mask["w"].fill_(True)
        return {"w": (trained["w"] - initial["w"]).abs()}

    assert prune(weights, mask, ByRate(0.34), moved, initial)["w"].tolist() == [False, True, True, False]
    assert seen == [[5.0, 4.0, 3.0, 0.0], [4.5, 1.0, 4.0, 0.0], [True, True, True, False]]
    seen.clear()
    prune(weights, None, ByRate(0.5), moved, initial)
    assert seen[2] == [True] * 4


def test_every_criterion_of_the_recipes_is_here() -> None:
    assert list(CRITERIA) == list(OF_WEIGHTS)


def test_scores_and_masks_that_cannot_be_used_are_refused() -> None:
    weights = {"w": torch.tensor([1.0, float("nan")])}
    with pytest.raises(ValueError, match="NaN for weights of w"):
        prune(weights, None, ByRate(0.5))
    with pytest.raises(ValueError, match="no scores for w"):
        prune(weights, None, ByRate(0.5), lambda trained, initial, mask: {})
    with pytest.raises(ValueError, match="does not cover w"):
        prune(weights, {}, ByRate(0.5))
    with pytest.raises(ValueError, match="covers v"):
        prune({"w": torch.ones(2)}, {"w": torch.ones(2).bool(), "v": torch.ones(2).bool()}, ByRate(0.5))
    with pytest.raises(ValueError, match="bool"):
        prune(weights, {"w": torch.ones(2)}, ByRate(0.5))


def test_twenty_million_weights_take_seconds() -> None:
    weights = {f"w{i}": torch.rand(2_500_000).round(decimals=3) for i in range(8)}  # many ties
    begin = time.perf_counter()
    mask = prune(weights, None, ByRate(0.2))
    assert time.perf_counter() - begin < 20
    assert sum(survivors(mask).values()) == 16_000_000
