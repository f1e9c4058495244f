"""Many networks at once: each trains as if it were alone, and what became of each is told."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.lottery.data import load
from pipeline.lottery.many_networks import of_each
from pipeline.lottery.models import build, initialize
from pipeline.lottery.training import train
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.models import model_from
from pipeline.recipes.training import Train

NETWORKS, HIDDEN = 7, 3
MODEL = {
    "name": "perceptron",
    "hidden": HIDDEN,
    "networks": NETWORKS,
    "initialization": {"name": "truncated-normal", "std": 0.5},
}
FIELDS: dict[str, Any] = {
    "kind": "train",
    "recipe": 1,
    "model": MODEL,
    "input": [1, 1, 2],
    "classes": 2,
    "data": {"name": "xor"},
    "optimizer": {"name": "sgd", "lr": 0.5, "momentum": 0.9, "weight_decay": 1e-3},
    "batch_size": 4,
    "iterations": 200,
    "record_every": 100,
    "seed": 0,
    "round": 0,
}
POINTS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
LABELS = torch.tensor([0, 1, 1, 0])
XOR = load(DataSet("xor"), Path("no-data-root-is-needed"))
assert isinstance(XOR.train_x, Tensor) and isinstance(XOR.test_x, Tensor)
PIXELS, TESTED = XOR.train_x, XOR.test_x


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def initial() -> dict[str, Tensor]:
    model = build(model_from(MODEL), [1, 1, 2], 2)
    initialize(model, 0, model_from(MODEL))
    return {name: value.clone() for name, value in model.state_dict().items()}


def alone(weights: dict[str, Tensor], number: int, mask: Tensor | None = None) -> tuple[dict[str, Tensor], Tensor]:
    """Network `number`, trained by itself with torch's own layers and loss: its weights and the logits at the end."""
    hidden, head = nn.Linear(2, HIDDEN), nn.Linear(HIDDEN, 1)
    with torch.no_grad():
        for layer, name in ((hidden, "hidden"), (head, "head")):
            layer.weight.copy_(weights[f"{name}.weight"][number])
            layer.bias.copy_(weights[f"{name}.bias"][number])
    kept = torch.ones(HIDDEN) if mask is None else mask[number].float()
    parameters = [*hidden.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.5, momentum=0.9, weight_decay=1e-3)
    with torch.no_grad():
        hidden.weight.mul_(kept[:, None])
        head.weight.mul_(kept)
    for _ in range(FIELDS["iterations"]):
        optimizer.zero_grad()
        logit = head(F.relu(hidden(POINTS))).squeeze(1)
        F.binary_cross_entropy_with_logits(logit, LABELS.float()).backward()
        optimizer.step()
        with torch.no_grad():
            hidden.weight.mul_(kept[:, None])
            head.weight.mul_(kept)
    state = {"hidden.weight": hidden.weight, "hidden.bias": hidden.bias, "head.weight": head.weight}
    return state, head(F.relu(hidden(POINTS))).squeeze(1).detach()


def test_the_points_are_those_of_exclusive_or_as_they_are() -> None:
    seen = PIXELS[:, 0, 0].float() / 255
    assert torch.equal(seen, POINTS) and torch.equal(XOR.train_y, LABELS)
    assert torch.equal(TESTED, PIXELS) and torch.equal(XOR.test_y, XOR.train_y)
    assert (XOR.mean.item(), XOR.std.item()) == (0, 1)


def test_each_network_trains_as_if_it_were_alone() -> None:
    trained = train(Train.from_fields(FIELDS), {}, XOR)
    assert trained.final is not None
    weights = initial()
    for number in range(NETWORKS):
        expected, _ = alone(weights, number)
        for name, value in expected.items():
            torch.testing.assert_close(trained.final[name][number], value, rtol=1e-4, atol=1e-5)


def test_pruned_units_stay_gone_and_the_others_train_as_if_they_had_never_been() -> None:
    mask = torch.ones(NETWORKS, HIDDEN, dtype=torch.bool)
    mask[torch.arange(NETWORKS), torch.arange(NETWORKS) % HIDDEN] = False
    masks = {
        "hidden.weight": mask[:, :, None].expand(-1, -1, 2).clone(),
        "head.weight": mask[:, None, :].clone(),
    }
    reference = {"stage": "0", "output": "mask"}
    trained = train(
        Train.from_fields(FIELDS | {"start": {"mask": reference, "prunes_output": True}}), {"mask": masks}, XOR
    )
    assert trained.final is not None
    for name, kept in masks.items():
        assert torch.equal(trained.final[name] != 0, kept)
    for number in range(NETWORKS):
        expected, _ = alone(initial(), number, mask)
        torch.testing.assert_close(trained.final["head.weight"][number], expected["head.weight"], rtol=1e-4, atol=1e-5)


def test_what_became_of_each_network_is_in_the_summary() -> None:
    summary = train(Train.from_fields(FIELDS), {}, XOR).summary
    each = summary["networks"]
    assert {len(each["test_loss"]), len(each["test_accuracy"]), len(each["test_margin"])} == {NETWORKS}
    for number in range(NETWORKS):
        _, logit = alone(initial(), number)
        loss = F.binary_cross_entropy_with_logits(logit, LABELS.float())
        margin = torch.where(LABELS == 1, 1.0, -1.0) * (2 * logit.sigmoid() - 1)
        assert each["test_loss"][number] == pytest.approx(loss.item(), rel=1e-3, abs=1e-5)
        assert each["test_margin"][number] == pytest.approx(margin.min().item(), abs=1e-3)
        assert each["test_accuracy"][number] == (margin > 0).double().mean().item()
    assert summary["test_loss"] == pytest.approx(sum(loss or 0.0 for loss in each["test_loss"]) / NETWORKS, rel=1e-5)
    assert summary["test_accuracy"] == pytest.approx(sum(each["test_accuracy"]) / NETWORKS)


def test_a_network_of_nan_is_wrong_and_spoils_no_other() -> None:
    model = build(model_from(MODEL), [1, 1, 2], 2)
    initialize(model, 0, model_from(MODEL))
    batch = [(POINTS.view(4, 1, 1, 2), LABELS)]
    before = of_each(model, batch)
    with torch.no_grad():
        model.get_parameter("head.weight")[2] = torch.nan
    after = of_each(model, batch)
    assert after["test_loss"][2] is None and after["test_accuracy"][2] == 0 and after["test_margin"][2] < 0
    assert [v for n, v in enumerate(after["test_loss"]) if n != 2] == [
        v for n, v in enumerate(before["test_loss"]) if n != 2
    ]


def test_a_network_that_is_lost_in_training_costs_no_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(Train.from_fields(FIELDS), {}, XOR)

    def lose_the_third(model: nn.Module, *arguments: Any) -> None:
        initialize(model, *arguments)
        with torch.no_grad():
            model.get_parameter("head.weight")[2] = torch.nan

    monkeypatch.setattr("pipeline.lottery.transfer.initialize", lose_the_third)
    lost = train(Train.from_fields(FIELDS), {}, XOR)
    assert lost.status == "ok" and lost.history[-1]["iteration"] == FIELDS["iterations"]
    expected, found = whole.summary["networks"]["test_loss"], lost.summary["networks"]["test_loss"]
    assert found == [*expected[:2], None, *expected[3:]]


def test_accuracy_while_training_counts_every_network() -> None:
    record = train(Train.from_fields(FIELDS | {"iterations": 1, "record_every": 1}), {}, XOR).history[0]
    model = build(model_from(MODEL), [1, 1, 2], 2)
    initialize(model, 0, model_from(MODEL))
    outputs = model(POINTS.view(4, 1, 1, 2))
    assert record["train_accuracy"] == pytest.approx((outputs.argmax(-1) == LABELS).double().mean().item())
    loss = F.cross_entropy(outputs.flatten(0, 1), LABELS.repeat(NETWORKS))
    assert record["train_loss"] == pytest.approx(loss.item(), rel=1e-6)
