"""Hidden units are pruned whole, the lowest score first, in each network by itself (Frankle & Carbin 2018, 2.1)."""

import pytest
import torch
from torch import Tensor

from pipeline.lottery.hidden_units import UNIT_CRITERIA, magnitude_product, prune_units


def layers(networks: int | None = 5, hidden: int = 6, outputs: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    many = () if networks is None else (networks,)
    return {
        "hidden.weight": torch.randn(*many, hidden, 2, generator=generator),
        "head.weight": torch.randn(*many, outputs, hidden, generator=generator),
    }


def expected(incoming: Tensor, outgoing: Tensor, criterion: str) -> list[float]:
    """Scores of one network's units, straight from the paper's words: [h, inputs], [1, h]."""
    scores = []
    for unit in range(len(incoming)):
        into = [abs(weight) for weight in incoming[unit].tolist()]
        out = abs(outgoing[0, unit].item())
        scores.append(
            {
                "input-magnitude": sum(into) / len(into),
                "output-magnitude": out,
                "magnitude-product": out * sum(into),
            }[criterion]
        )
    return scores


@pytest.mark.parametrize("criterion", UNIT_CRITERIA)
def test_in_each_network_the_units_with_the_lowest_scores_go_round_by_round(criterion: str) -> None:
    weights, mask = layers(), None
    for number in (1, 2):
        mask = prune_units(weights, mask, 2, UNIT_CRITERIA[criterion])
        for network in range(5):
            scores = expected(weights["hidden.weight"][network], weights["head.weight"][network], criterion)
            gone = set(sorted(range(6), key=scores.__getitem__)[: 2 * number])
            left = [unit not in gone for unit in range(6)]
            assert mask["head.weight"][network, 0].tolist() == left
            assert mask["hidden.weight"][network].all(1).tolist() == left
            assert mask["hidden.weight"][network].any(1).tolist() == left, "units are whole or gone"


def test_two_rounds_on_the_same_weights_are_one_round_of_both() -> None:
    weights = layers()
    once = prune_units(weights, None, 4, magnitude_product)
    twice = prune_units(weights, prune_units(weights, None, 2, magnitude_product), 2, magnitude_product)
    assert all(torch.equal(once[name], twice[name]) for name in once)


def test_a_unit_that_is_gone_stays_gone_whatever_its_weights() -> None:
    weights = layers()
    first = prune_units(weights, None, 2, magnitude_product)
    gone = ~first["hidden.weight"]
    weights["hidden.weight"][gone] = 100.0
    second = prune_units(weights, first, 2, magnitude_product)
    assert not second["hidden.weight"][gone].any()


def test_of_equal_units_the_first_ones_go() -> None:
    weights = {"hidden.weight": torch.ones(2, 4, 3), "head.weight": torch.ones(2, 1, 4)}
    assert prune_units(weights, None, 2, magnitude_product)["head.weight"][0, 0].tolist() == [False, False, True, True]


def test_an_ordinary_network_and_several_outputs_will_do() -> None:
    mask = prune_units(layers(networks=None, outputs=3), None, 5, magnitude_product)
    assert mask["hidden.weight"].shape == (6, 2) and mask["head.weight"].shape == (3, 6)
    assert mask["head.weight"].sum().item() == 3 and mask["hidden.weight"].sum().item() == 2


@pytest.mark.parametrize(
    ("weights", "count", "said"),
    [
        (layers(), 6, "none would be left"),
        ({"hidden.weight": torch.ones(4, 2)}, 1, "between two layers"),
        ({"a.weight": torch.ones(4, 2), "b.weight": torch.ones(1, 5)}, 1, "a.weight has 4 units and b.weight reads 5"),
        ({"a.weight": torch.ones(4, 2, 3, 3), "b.weight": torch.ones(1, 4)}, 1, "fully connected"),
        ({"a.weight": torch.full((4, 2), torch.nan), "b.weight": torch.ones(1, 4)}, 1, "diverge"),
    ],
)
def test_what_cannot_be_pruned_is_said(weights: dict[str, Tensor], count: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        prune_units(weights, None, count, magnitude_product)
