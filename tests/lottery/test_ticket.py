"""A ticket as a file, and in a model: what is put there stays sparse."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from pipeline import Ticket
from pipeline.lottery.layers import prunable
from pipeline.lottery.pruning import prune
from pipeline.lottery.ticket import TicketError
from pipeline.recipes.rules import ByRate


class Net(nn.Sequential):
    def __init__(self, classes: int = 4, hidden: int = 12) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, hidden)
        self.bn = nn.BatchNorm1d(hidden)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(hidden, 8)
        self.head = nn.Linear(8, classes)


def ticket_of(model: nn.Module, rate: float = 0.7, **provenance: Any) -> Ticket:
    weights = {name: weight.detach() for name, weight in prunable(model).items()}
    return Ticket(prune(weights, None, ByRate(rate)), model.state_dict(), provenance)


def assert_sparse(model: nn.Module, ticket: Ticket) -> None:
    for name, kept in ticket.mask.items():
        assert (model.get_parameter(name)[~kept.to(model.get_parameter(name).device)] == 0).all(), name


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    weight = next(model.parameters())
    x = torch.randn(16, 6, generator=torch.Generator().manual_seed(0)).to(weight)

    def closure() -> float:
        optimizer.zero_grad()
        loss = (model(x) - 1).square().mean()
        loss.backward()
        return float(loss.detach())

    optimizer.step(closure)


def muon(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Muon([p for p in parameters if p.dim() == 2], lr=0.1)


OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "SGD-nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "SGD-loop": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, foreach=False),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.1),
    "Adam-fused": lambda p: torch.optim.Adam(p, lr=0.1, fused=True),
    "Adam-capturable": lambda p: torch.optim.Adam(p, lr=0.1, foreach=True, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1),
    **{
        name: partial(getattr(torch.optim, name), lr=0.1)
        for name in ["RMSprop", "Adagrad", "Adadelta", "Adamax", "ASGD", "NAdam", "RAdam", "Rprop", "Adafactor"]
    },
    "LBFGS": lambda p: torch.optim.LBFGS(p, lr=0.5, max_iter=4),
    "LBFGS-wolfe": lambda p: torch.optim.LBFGS(p, line_search_fn="strong_wolfe"),
    "Muon": muon,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("created", ["before", "after"])
def test_pruned_weights_are_zero_after_every_step(name: str, created: str) -> None:
    torch.manual_seed(0)
    model = Net()
    ticket = ticket_of(Net())
    parameters = list(model.parameters())
    optimizer = OPTIMIZERS[name](parameters)
    for _ in range(3):  # stale momentum, of pruned weights too
        step(model, optimizer)
    ticket.apply(model)
    if created == "after":
        optimizer = OPTIMIZERS[name](parameters)
    assert_sparse(model, ticket)
    start = model.fc1.weight.detach().clone()
    for _ in range(4):
        step(model, optimizer)
        assert_sparse(model, ticket)
    trained = model.fc1.weight[ticket.mask["fc1.weight"]]
    assert not torch.equal(trained, start[ticket.mask["fc1.weight"]]), "nothing was trained"


def test_apply_puts_the_whole_state_and_copies_it() -> None:
    source, model = Net(), Net()
    source(torch.randn(9, 6))  # running statistics
    ticket = ticket_of(source)
    ticket.apply(model)
    state = model.state_dict()
    for name, value in source.state_dict().items():
        assert torch.equal(state[name], value * ticket.mask.get(name, 1)), name
    weights = {name: value.clone() for name, value in ticket.weights.items()}
    step(model, torch.optim.SGD(model.parameters(), lr=0.5))
    step(source, torch.optim.SGD(source.parameters(), lr=0.5))
    assert all(torch.equal(ticket.weights[name], value) for name, value in weights.items()), "the ticket trained along"


def test_biases_and_batch_norm_train_on() -> None:
    model = Net()
    ticket_of(Net()).apply(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    step(model, torch.optim.SGD(model.parameters(), lr=0.5))
    for name in ("bn.weight", "bn.bias", "fc2.bias", "head.weight", "head.bias"):
        assert not (model.state_dict()[name] == before[name]).all(), name


def test_a_second_ticket_replaces_the_first() -> None:
    model = Net()
    first, second = ticket_of(Net(), 0.9), ticket_of(Net(), 0.3)
    first.apply(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    step(model, optimizer)
    second.apply(model)
    step(model, optimizer)
    assert_sparse(model, second)
    assert all((model.get_parameter(name)[kept] != 0).all() for name, kept in second.mask.items())
    Ticket({}, Net().state_dict()).apply(model)  # a dense one: nothing is held any more
    for _ in range(2):
        step(model, optimizer)
    assert (model.fc2.weight != 0).all()


def test_other_models_are_left_alone() -> None:
    ticket_of(Net()).apply(Net())
    other = Net()
    step(other, torch.optim.SGD(other.parameters(), lr=0.1))
    assert (other.fc1.weight != 0).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_mask_follows_the_model_to_another_type(dtype: torch.dtype) -> None:
    ticket = ticket_of(Net())
    early, late = Net().to(dtype), Net()
    ticket.apply(early)
    ticket.apply(late)
    late.to(dtype)
    for model in (early, late):
        assert model.fc1.weight.dtype == dtype
        step(model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
        assert_sparse(model, ticket)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_mask_follows_the_model_to_another_device() -> None:
    ticket = ticket_of(Net())
    early, late = Net().cuda(), Net()
    ticket.apply(early)
    ticket.apply(late)
    late.cuda()
    for model in (early, late):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        step(model, optimizer)
        assert_sparse(model, ticket)
        model.cpu()
        step(model, torch.optim.SGD(model.parameters(), lr=0.1))
        assert_sparse(model, ticket)


def test_a_loaded_state_keeps_its_zeros_and_a_deep_copy_takes_the_ticket_again() -> None:
    model = Net()
    ticket = ticket_of(Net())
    ticket.apply(model)
    model.load_state_dict(model.state_dict())
    step(model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert_sparse(model, ticket)
    twin = copy.deepcopy(model)
    ticket.apply(twin)
    step(twin, torch.optim.SGD(twin.parameters(), lr=0.1))
    assert_sparse(twin, ticket)


def test_a_resnet18_ticket_with_ten_classes_goes_into_one_with_a_hundred(tmp_path: Path) -> None:
    torch.manual_seed(0)
    ticket_of(torchvision.models.resnet18(num_classes=10), 0.9, source="cifar10").save(tmp_path / "t.safetensors")
    ticket = Ticket.load(tmp_path / "t.safetensors")
    model = torchvision.models.resnet18(num_classes=100)
    head = model.fc.weight.detach().clone()
    ticket.apply(model)
    assert torch.equal(model.fc.weight, head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(torch.randn(4, 3, 32, 32)), torch.tensor([3, 50, 70, 99])).backward()
        optimizer.step()
        assert_sparse(model, ticket)
    assert not torch.equal(model.fc.weight, head)
    assert "fc.weight" not in ticket.mask
    assert not [name for name in ticket.mask if "bn" in name or name.endswith("bias")]


def test_a_pruned_head_stays_pruned_and_another_size_of_it_is_left_alone() -> None:
    source = Net()
    weights = {name: weight.detach() for name, weight in prunable(source, output=True).items()}
    ticket = Ticket(prune(weights, None, ByRate(0.5)), source.state_dict())
    same, other = Net(), Net(classes=9)
    ticket.apply(same)
    step(same, torch.optim.SGD(same.parameters(), lr=0.1, momentum=0.9))
    assert_sparse(same, ticket)
    head = other.head.weight.detach().clone()
    with pytest.raises(TicketError, match=r"head is masked .* of another size .* model\.output_layer = 'head'\."):
        ticket.apply(other)
    other.output_layer = "head"  # type: ignore[assignment]  # an attribute of the user's
    ticket.apply(other)
    assert torch.equal(other.head.weight, head)
    step(other, torch.optim.SGD(other.parameters(), lr=0.1))
    assert (other.head.weight != 0).all()


def test_a_head_that_is_not_the_last_linear_is_asked_for() -> None:
    def net(classes: int) -> nn.Module:
        return nn.ModuleDict({"classifier": nn.Linear(8, classes), "first": nn.Linear(6, 8)})

    ticket, model = Ticket({}, net(4).state_dict()), net(7)
    with pytest.raises(TicketError, match=r"If classifier is its output layer, say so: model\.output_layer = NAME\."):
        ticket.apply(model)
    model.output_layer = "classifier"  # type: ignore[assignment]  # an attribute of the user's
    ticket.apply(model)
    assert torch.equal(model.get_parameter("first.weight"), ticket.weights["first.weight"])


def test_a_hidden_layer_that_is_taken_for_the_head_is_not_left_out_silently() -> None:
    def net(hidden: int) -> nn.Module:
        return nn.ModuleDict({"head": nn.Linear(8, 3), "a": nn.Linear(6, 8), "b": nn.Linear(hidden, 8)})

    source, model = net(5), net(7)
    weights = {name: source.get_parameter(name).detach() for name in ("a.weight", "b.weight")}
    ticket = Ticket(prune(weights, None, ByRate(0.5)), source.state_dict())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(
        TicketError, match=r"b is masked in the ticket and of another size .* model\.output_layer = 'b'"
    ):
        ticket.apply(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Deeper(Net):
    def __init__(self) -> None:
        super().__init__()
        self.tail = nn.Linear(4, 4)


class Shallower(nn.Sequential):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 12)
        self.head = nn.Linear(12, 4)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Net(hidden=13), r"fc1.weight is \[13, 6\] in the model and \[12, 6\] in the weights"),
        (Deeper(), "tail.weight is in the model only"),
        (Shallower(), "no parameter fc2.weight"),
        (nn.Sequential(nn.Conv2d(3, 3, 3)), "no parameter fc1.weight"),
        (Net().to("meta"), "meta device"),
    ],
)
def test_another_architecture_is_refused_and_nothing_is_changed(model: nn.Module, message: str) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(TicketError, match=message):
        ticket_of(Net()).apply(model)
    for name, value in model.state_dict().items():
        assert value.is_meta or torch.equal(value, before[name])
    assert not any(module._load_state_dict_post_hooks for module in model.modules())


def test_a_ticket_comes_back_from_its_file(tmp_path: Path) -> None:
    ticket = ticket_of(Net(), 0.75, source={"dataset": "digits", "seed": 3}, epochs=1.5)
    path = tmp_path / "ticket.safetensors"
    ticket.save(path)
    back = Ticket.load(str(path))
    assert list(back.weights) == list(ticket.weights)
    assert list(back.mask) == list(ticket.mask) == ["fc1.weight", "fc2.weight"]
    assert all(torch.equal(back.weights[name], value) for name, value in ticket.weights.items())
    assert all(torch.equal(back.mask[name], kept) for name, kept in ticket.mask.items())
    assert back.provenance == {"source": {"dataset": "digits", "seed": 3}, "epochs": 1.5}
    assert back.fraction_pruned == ticket.fraction_pruned == 0.75
    assert repr(back) == "Ticket(2 masked of 11 tensors, 75.00% pruned)"
    first = path.read_bytes()
    back.save(path)
    assert path.read_bytes() == first


def test_pruned_weights_of_a_ticket_are_zero_and_counted() -> None:
    weights = {"w": torch.tensor([1.0, float("nan"), 3.0]), "b": torch.ones(5)}
    ticket = Ticket({"w": torch.tensor([True, False, False])}, weights)
    assert ticket.weights["w"].tolist() == [1, 0, 0]
    assert weights["w"][2] == 3
    assert ticket.fraction_pruned == pytest.approx(2 / 3)
    assert Ticket({}, weights).fraction_pruned == 0
    with pytest.raises(TicketError, match="mask of v"):
        Ticket({"v": torch.ones(3).bool()}, weights)
    with pytest.raises(TicketError, match="mask of w"):
        Ticket({"w": torch.ones(3)}, weights)


def test_truncated_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ticket.safetensors"
    ticket_of(Net()).save(path)
    whole = path.read_bytes()
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(TicketError, match=r"ticket\.safetensors is not a whole ticket\. Truncated"):
            Ticket.load(path)
    path.write_bytes(b"PK\x03\x04 something else entirely, a zip file perhaps")
    with pytest.raises(TicketError, match="Not a safetensors file"):
        Ticket.load(path)
    with pytest.raises(FileNotFoundError):
        Ticket.load(tmp_path / "absent")


def test_saving_leaves_the_old_file_whole_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ticket.safetensors"
    ticket = ticket_of(Net())
    ticket.save(path)
    before = path.read_bytes()
    with pytest.raises(TicketError, match="provenance"):
        Ticket(ticket.mask, ticket.weights, {"when": object()}).save(path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        ticket_of(Net()).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, pipeline; assert 'torch' not in sys.modules; pipeline.Ticket; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(ImportError, match="Tikcet"):
        from pipeline import Tikcet  # noqa: F401
