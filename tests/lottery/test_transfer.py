"""Where a run starts from: what travels, what is copied, what is redrawn."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.lottery.layers import prunable
from pipeline.lottery.models import build, initialize
from pipeline.lottery.pruning import prune
from pipeline.lottery.transfer import starting_point
from pipeline.recipes.models import model_from
from pipeline.recipes.rules import ByRate
from pipeline.recipes.training import Train

CONVNET = {"name": "convnet", "width": 4}
REF = {"stage": "0" * 64, "output": "it3"}
PRUNED = ["conv1.weight", "conv2.weight", "conv3.weight"]


def fresh(classes: int = 10, seed: int = 0) -> nn.Module:
    model = build(model_from(CONVNET), [3, 8, 8], classes)
    initialize(model, seed, model_from(CONVNET))
    return model


def trained(classes: int = 10) -> dict[str, Tensor]:
    """The state after a few real steps: every tensor differs from the initialization."""
    torch.manual_seed(1)
    model = fresh(classes)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        loss = nn.functional.cross_entropy(model(torch.randn(8, 3, 8, 8)), torch.arange(8) % classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: value.clone() for name, value in model.state_dict().items()}


def half(weights: Mapping[str, Tensor], names: list[str]) -> dict[str, Tensor]:
    return prune({name: weights[name] for name in names}, None, ByRate(0.5))


def recipe(start: dict[str, Any] | None, *, seed: int = 0, round: int = 1) -> Train:
    fields = {
        **{"model": CONVNET, "input": [3, 8, 8], "classes": 10, "data": {"name": "digits", "channels": 3}},
        **{"optimizer": {"name": "sgd", "lr": 0.1}, "batch_size": 8, "iterations": 1, "record_every": 1},
        **{"seed": seed, "round": round, "start": start or {}},
    }
    return Train.from_fields(fields)


def started(
    start: dict[str, Any] | None, inputs: Mapping[str, Mapping[str, Tensor]], classes: int = 10, **more: int
) -> tuple[nn.Module, dict[str, Tensor]]:
    model = build(model_from(CONVNET), [3, 8, 8], classes)
    for parameter in model.parameters():
        nn.init.constant_(parameter, 7.0)
    mask = starting_point(model, recipe(start, **more), inputs)
    return model, mask


def controlled(mask: str, weights: str, **start: Any) -> dict[str, Any]:
    return {"mask": REF, "weights": REF, **start, "control": {"mask": mask, "weights": weights}}


def masked(weights: Mapping[str, Tensor], mask: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value * mask[name] if name in mask else value for name, value in weights.items()}


def assert_same(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert list(state) == list(expected)
    for name, value in expected.items():
        assert torch.equal(state[name], value), name


def test_no_start_is_a_fresh_dense_network() -> None:
    model, mask = started(None, {})
    assert mask == {}
    assert_same(model.state_dict(), fresh().state_dict())


def test_a_winning_ticket_brings_every_tensor_and_its_mask() -> None:
    weights = trained()
    mask = half(weights, PRUNED)
    model, given = started({"mask": REF, "weights": REF}, {"mask": mask, "weights": weights})
    assert_same(given, mask)
    assert_same(model.state_dict(), masked(weights, mask))  # biases, batch norm, running statistics, counts of batches
    assert weights["bn1.num_batches_tracked"] == 3
    assert not torch.equal(weights["bn1.running_mean"], torch.zeros(4))


def test_rewound_weights_are_copies_and_do_not_train_along() -> None:
    weights = trained()
    mask = half(weights, PRUNED)
    before = {name: value.clone() for name, value in {**weights, **mask}.items()}
    model, _ = started({"mask": REF, "weights": REF}, {"mask": mask, "weights": weights})
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(torch.randn(8, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    assert not torch.equal(model.get_parameter("head.weight"), weights["head.weight"])
    assert_same({**weights, **mask}, before)


def test_pruned_weights_are_exactly_zero_whatever_they_were() -> None:
    weights = trained()
    mask = half(weights, PRUNED)
    weights["conv1.weight"][~mask["conv1.weight"]] = float("inf")
    model, _ = started({"mask": REF, "weights": REF}, {"mask": mask, "weights": weights})
    for name, weight in prunable(model).items():
        assert (weight[~mask[name]] == 0).all()


def test_a_mask_without_weights_starts_from_the_initialization() -> None:
    mask = half(trained(), PRUNED)
    model, _ = started({"mask": REF}, {"mask": mask})
    assert_same(model.state_dict(), masked(fresh().state_dict(), mask))


def test_weights_without_a_mask_are_a_dense_network() -> None:
    weights = trained()
    model, mask = started({"weights": REF}, {"weights": weights})
    assert mask == {}
    assert_same(model.state_dict(), weights)


@pytest.mark.parametrize("classes", [10, 37])
def test_a_redrawn_head_comes_from_the_ordinary_initialization(classes: int) -> None:
    weights = trained()
    mask = half(weights, PRUNED)
    start = {"mask": REF, "weights": REF, "head": "redraw"}
    model, given = started(start, {"mask": mask, "weights": weights}, classes)
    expected = masked(weights, mask) | {n: v for n, v in fresh(classes).state_dict().items() if n.startswith("head.")}
    assert_same(model.state_dict(), expected)
    assert_same(given, mask)  # the mask travels: it is the source's, not one found anew


def test_a_head_of_the_wrong_size_is_never_kept() -> None:
    weights = trained()
    inputs = {"mask": half(weights, PRUNED), "weights": weights}
    with pytest.raises(ValueError, match=r"head.weight is \[37, 16\] in the model and \[10, 16\] in the weights"):
        started({"mask": REF, "weights": REF}, inputs, 37)


def test_a_pruned_head_is_kept_or_redrawn_under_its_mask_but_not_resized() -> None:
    weights = trained()
    mask = half(weights, [*PRUNED, "head.weight"])
    inputs = {"mask": mask, "weights": weights}
    start = {"mask": REF, "weights": REF, "prunes_output": True}
    assert_same(started(start, inputs)[0].state_dict(), masked(weights, mask))
    redrawn, given = started({**start, "head": "redraw"}, inputs)
    assert_same(given, mask)
    head = fresh().state_dict()["head.weight"]
    assert torch.equal(redrawn.get_parameter("head.weight"), head * mask["head.weight"])
    with pytest.raises(ValueError, match="cannot be redrawn for another number of classes"):
        started({**start, "head": "redraw"}, inputs, 37)


def test_the_mask_must_cover_what_is_prunable() -> None:
    weights = trained()
    with pytest.raises(ValueError, match="output layer pruned in one"):
        started({"mask": REF}, {"mask": half(weights, [*PRUNED, "head.weight"])})
    with pytest.raises(ValueError, match="output layer pruned in one"):
        started({"mask": REF, "prunes_output": True}, {"mask": half(weights, PRUNED)})
    wide = prune({name: torch.rand(8, 8) for name in PRUNED}, None, ByRate(0.5))
    with pytest.raises(ValueError, match=r"mask of conv1.weight is \[8, 8\]"):
        started({"mask": REF}, {"mask": wide})


def test_weights_of_another_architecture_are_refused_by_name() -> None:
    weights = trained()
    del weights["bn2.bias"]
    with pytest.raises(ValueError, match=r"bn2\.bias is in the model only"):
        started({"weights": REF}, {"weights": weights})
    with pytest.raises(LookupError, match="weights of another stage"):
        started({"weights": REF}, {})


@pytest.mark.parametrize("kind", ["preserved", "permuted-within-layers", "permuted-globally"])
def test_kept_weights_have_the_value_of_their_new_place(kind: str) -> None:
    weights = trained()
    mask = half(weights, PRUNED)
    model, new = started(controlled(kind, "kept"), {"mask": mask, "weights": weights})
    assert_same(model.state_dict(), masked(weights, new))
    assert all(torch.equal(new[name], mask[name]) for name in PRUNED) == (kind == "preserved")


@pytest.mark.parametrize("kind", ["preserved", "permuted-within-layers", "permuted-globally"])
def test_redrawn_weights_are_a_fresh_draw_and_everything_else_is_fresh(kind: str) -> None:
    weights = trained()
    mask = half(weights, PRUNED)
    model, new = started(controlled(kind, "redrawn"), {"mask": mask, "weights": weights})
    theta, state = fresh().state_dict(), model.state_dict()
    for name in state:
        if name not in PRUNED:
            assert torch.equal(state[name], theta[name]), name
    for name in PRUNED:
        survivors = state[name][new[name]]
        assert (state[name][~new[name]] == 0).all()
        assert not (survivors == theta[name][new[name]]).any()
        assert not (survivors == weights[name][new[name]]).any()
        if len(survivors) > 200:  # Xavier normal, like the initialization
            assert survivors.std() == pytest.approx(theta[name].std().item(), rel=0.15)


def test_a_redrawn_ticket_asks_nothing_of_the_trained_weights() -> None:
    weights = trained()
    inputs = {"mask": half(weights, PRUNED)}
    there, _ = started(controlled("preserved", "redrawn"), inputs, classes=37)
    assert torch.equal(there.get_parameter("head.weight"), fresh(37).get_parameter("head.weight"))


@pytest.mark.parametrize("kind", ["preserved", "permuted-within-layers", "permuted-globally"])
def test_shuffled_weights_move_with_the_mask_and_the_rest_travels(kind: str) -> None:
    weights = trained()
    mask = half(weights, PRUNED)
    model, new = started(controlled(kind, "shuffled"), {"mask": mask, "weights": weights})
    state = model.state_dict()
    now = torch.cat([state[name][new[name]] for name in PRUNED])
    before = torch.cat([weights[name][mask[name]] for name in PRUNED])
    assert not torch.equal(now, before)
    assert torch.equal(now.sort().values, before.sort().values)
    for name in state:
        if name not in PRUNED:
            assert torch.equal(state[name], weights[name]), name


def test_a_random_ticket_by_count_alone_equals_that_of_any_source() -> None:
    weights = trained()
    mask = half(weights, PRUNED)
    count = sum(int(kept.sum()) for kept in mask.values())
    kinds = {"mask": "permuted-globally", "weights": "redrawn"}
    alone, new = started({"survivors": count, "control": kinds}, {})
    of_source, other = started(controlled(**kinds), {"mask": mask, "weights": weights})
    assert_same(new, other)
    assert_same(alone.state_dict(), of_source.state_dict())
    assert sum(int(kept.sum()) for kept in new.values()) == count


def test_controls_are_drawn_independently_by_round_and_seed() -> None:
    start = {"survivors": 100, "control": {"mask": "permuted-globally", "weights": "redrawn"}}
    draws = [started(start, {}, seed=seed, round=round) for seed, round in [(0, 1), (0, 2), (1, 1), (0, 1)]]
    first, again = draws[0][0].state_dict(), draws[3][0].state_dict()
    assert_same(again, first)
    for model, mask in draws[1:3]:
        assert not torch.equal(mask["conv3.weight"], draws[0][1]["conv3.weight"])
        both = mask["conv3.weight"] & draws[0][1]["conv3.weight"]
        assert not (model.state_dict()["conv3.weight"][both] == first["conv3.weight"][both]).any()


def test_a_control_of_a_pruned_output_layer_covers_it() -> None:
    start = {"survivors": 50, "prunes_output": True, "control": {"mask": "permuted-globally", "weights": "redrawn"}}
    model, mask = started(start, {})
    assert list(mask) == [*PRUNED, "head.weight"]
    assert not torch.equal(
        model.get_parameter("head.weight"), fresh().get_parameter("head.weight") * mask["head.weight"]
    )


def test_a_dense_network_of_another_draw_has_its_own_initialization() -> None:
    first, second, again = (started(start, {})[0].state_dict() for start in (None, {"draw": 1}, {"draw": 1}))
    assert all(torch.equal(value, again[name]) for name, value in second.items())
    assert not any(torch.equal(first[name], second[name]) for name in [*PRUNED, "head.weight"])


def test_a_mask_over_some_layers_must_be_over_just_those() -> None:
    weights = trained()
    one = half(weights, ["conv2.weight"])
    start = {"mask": REF, "weights": REF, "layers": ["conv2.weight"]}
    model, mask = started(start, {"mask": one, "weights": weights})
    assert list(mask) == ["conv2.weight"]
    assert_same(model.state_dict(), masked(weights, one))
    for wrong in (half(weights, PRUNED), half(weights, ["conv1.weight"])):
        with pytest.raises(
            ValueError, match=r"The mask must cover these weights of this Sequential: conv2.weight; it cov"
        ):
            started(start, {"mask": wrong, "weights": weights})
    with pytest.raises(
        ValueError, match=r"There is no prunable head.weight in this Sequential; prunable: conv1.weight, "
    ):
        started({**start, "layers": ["head.weight"]}, {"mask": one, "weights": weights})


def test_a_random_ticket_of_one_layer_is_a_count_of_it_with_all_weights_redrawn() -> None:
    start = {
        "survivors": 30,
        "layers": ["conv2.weight"],
        "control": {"mask": "permuted-globally", "weights": "redrawn"},
    }
    model, mask = started(start, {})
    assert list(mask) == ["conv2.weight"] and int(mask["conv2.weight"].sum()) == 30
    state, initial = model.state_dict(), fresh().state_dict()
    for name in ("conv1.weight", "conv3.weight"):
        assert state[name].all() and not torch.equal(state[name], initial[name])
    assert torch.equal(state["head.weight"], initial["head.weight"])
