"""Random tickets: counts are kept, permutations are real, draws are what their stream says."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pipeline.lottery.controls import RandomTicket, mask_at, moved, places
from pipeline.recipes.controls import MASKS, WEIGHTS, Control

LENET = '{"hidden":[300,100],"name":"lenet"}'


def control(mask: str, weights: str, survivors: int, *, seed: int = 0, round: int = 1) -> RandomTicket:
    return RandomTicket(Control(mask, weights), seed, LENET, survivors, round)


def draw(kind: str, weights: str, mask: Mapping[str, Tensor], seed: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    count = sum(int(kept.sum()) for kept in mask.values())
    shapes = {name: kept.shape for name, kept in mask.items()}
    new = places(control(kind, weights, count, seed=seed), shapes, mask)
    return new, mask_at(new, shapes)


def flat(tensors: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors.values()])


masks = st.lists(
    st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**25 - 1)), min_size=1, max_size=4
).map(
    lambda layers: {
        f"layer{i}": torch.tensor([bool(bits >> k & 1) for k in range(rows * columns)]).reshape(rows, columns)
        for i, (rows, columns, bits) in enumerate(layers)
    }
)


@given(masks, st.sampled_from(MASKS), st.sampled_from(WEIGHTS), st.integers(0, 1000))
def test_counts_are_kept_exactly(mask: dict[str, Tensor], kind: str, weights: str, seed: int) -> None:
    _, new = draw(kind, weights, mask, seed)
    assert {name: kept.shape for name, kept in new.items()} == {name: kept.shape for name, kept in mask.items()}
    assert flat(new).sum() == flat(mask).sum()
    if kind != "permuted-globally":
        assert {name: int(kept.sum()) for name, kept in new.items()} == {n: int(k.sum()) for n, k in mask.items()}
    if kind == "preserved":
        assert torch.equal(flat(new), flat(mask))


@given(masks, st.sampled_from(MASKS), st.integers(0, 1000))
def test_shuffled_values_are_the_surviving_values_at_the_surviving_places(
    mask: dict[str, Tensor], kind: str, seed: int
) -> None:
    weights = {name: torch.arange(1.0, kept.numel() + 1).reshape(kept.shape) for name, kept in mask.items()}
    new, permuted = draw(kind, "shuffled", mask, seed)
    values = moved(weights, mask, new)
    assert torch.equal(flat(values) != 0, flat(permuted)), "a value lies where no connection survives"
    assert torch.equal(flat(values)[flat(permuted)].sort().values, flat(weights)[flat(mask)].sort().values)
    if kind != "permuted-globally":
        for name in mask:
            here, before = values[name][permuted[name]], weights[name][mask[name]]
            assert torch.equal(here.sort().values, before.sort().values), "values left their layer"


@pytest.mark.parametrize("kind", MASKS)
def test_shuffling_shuffles(kind: str) -> None:
    mask = {"a": torch.rand(40, 50) < 0.5, "b": torch.rand(30, 20) < 0.1}
    weights = {name: torch.randn(kept.shape) for name, kept in mask.items()}
    new, permuted = draw(kind, "shuffled", mask)
    values = flat(moved(weights, mask, new))[flat(permuted)]
    assert (values == flat(weights)[flat(mask)]).float().mean() < 0.05


@pytest.mark.parametrize("kind", ["permuted-within-layers", "permuted-globally"])
def test_every_place_is_equally_likely(kind: str) -> None:
    mask = {"a": torch.tensor([True, True, False, False, False]), "b": torch.tensor([True, False, False])}
    trials = 3000
    share = sum(flat(draw(kind, "redrawn", mask, seed)[1]).float() for seed in range(trials)) / trials
    expected = torch.tensor([2 / 5] * 5 + [1 / 3] * 3 if kind == "permuted-within-layers" else [3 / 8] * 8)
    assert (share - expected).abs().max() < 0.045  # five standard errors


def test_a_globally_permuted_mask_needs_the_count_alone_and_is_the_same_for_every_source() -> None:
    shapes = {"a": torch.Size([20, 10]), "b": torch.Size([30])}
    sparse = {"a": torch.zeros(20, 10).bool(), "b": torch.ones(30).bool()}
    other = {
        "a": torch.ones(200).bool().reshape(20, 10) & (torch.arange(200) < 30).reshape(20, 10),
        "b": torch.zeros(30).bool(),
    }
    ticket = control("permuted-globally", "redrawn", 30)
    drawn = [places(ticket, shapes, mask) for mask in (None, sparse, other)]
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("kind", ["permuted-within-layers", "permuted-globally"])
def test_a_draw_is_repeatable_and_independent_of_round_seed_model_kind_and_other_draws(kind: str) -> None:
    mask = {"a": (torch.arange(600) % 3 == 0).reshape(20, 30)}
    shapes = {"a": torch.Size([20, 30])}
    one = control(kind, "redrawn", 200)
    others = [
        replace(one, round=2),
        replace(one, seed=1),
        replace(one, model="{}"),
        replace(one, control=replace(one.control, weights="kept")),
    ]
    others.append(replace(one, control=replace(one.control, draw=1)))
    first = places(one, shapes, mask)
    assert torch.equal(first, places(one, shapes, mask))
    for other in others:
        # Independent masks with a third of the places agree in about a third of their survivors.
        common = len(set(first.tolist()) & set(places(other, shapes, mask).tolist()))
        assert 40 < common < 95


def test_more_survivors_than_places_are_refused() -> None:
    shapes = {"a": torch.Size([4])}
    with pytest.raises(ValueError, match="cannot survive"):
        places(control("permuted-globally", "redrawn", 5), shapes, None)
