"""A ticket's masks are the model's: they hold whatever becomes of its parameters, or the loss is told."""

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

from pipeline import Ticket
from pipeline.lottery.held_masks import LostMaskError
from pipeline.lottery.ticket import TicketError


class Net(nn.Sequential):
    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.fc1 = nn.Linear(6, 12)
        self.body = nn.Sequential(nn.ReLU(), nn.Linear(12, 8))
        self.head = nn.Linear(8, classes)


MASKED = ("fc1.weight", "body.1.weight")


@pytest.fixture
def ticket() -> Ticket:
    torch.manual_seed(0)
    weights = Net().state_dict()
    return Ticket({name: torch.rand(weights[name].shape) < 0.4 for name in MASKED}, weights)


@pytest.fixture
def swapping() -> Iterator[None]:
    torch.__future__.set_swap_module_params_on_conversion(True)
    yield
    torch.__future__.set_swap_module_params_on_conversion(False)


@pytest.fixture
def overwriting() -> Iterator[None]:
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    yield
    torch.__future__.set_overwrite_module_params_on_conversion(False)


def train(model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
    optimizer = optimizer or torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=0.1)
    weight = next(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        (model(torch.ones(4, 6).to(weight)) - 1).square().mean().backward()
        optimizer.step()


def grown(model: nn.Module, ticket: Ticket) -> int:
    """How many pruned weights are not 0."""
    return sum(int((model.get_parameter(name)[~kept] != 0).sum()) for name, kept in ticket.mask.items())


def loaded_by_assignment(model: nn.Module) -> nn.Module:
    model.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    return model


def given_another_layer(model: nn.Module) -> nn.Module:
    model.fc1 = nn.Linear(6, 12)
    return model


def given_another_parameter(model: nn.Module) -> nn.Module:
    model.get_submodule("body.1").weight = nn.Parameter(torch.ones(8, 12))
    return model


def saved_whole(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    assert isinstance(loaded, nn.Module)
    return loaded


CHANGES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "load_state_dict(assign=True)": loaded_by_assignment,
    "to another type": lambda model: model.double(),
    "to another type and back": lambda model: model.double().float(),
    "deepcopy": copy.deepcopy,
    "a deep copy of a deep copy": lambda model: copy.deepcopy(copy.deepcopy(model)),
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "torch.save": saved_whole,
    "an average": lambda model: torch.optim.swa_utils.AveragedModel(model).module,
    "another layer": given_another_layer,
    "another parameter": given_another_parameter,
    "share_memory": lambda model: model.share_memory(),
}


@pytest.mark.parametrize("mode", [None, "swapping", "overwriting"])
@pytest.mark.parametrize("change", CHANGES)
def test_pruned_weights_stay_zero_whatever_becomes_of_the_parameters(
    change: str, mode: str | None, ticket: Ticket, request: pytest.FixtureRequest
) -> None:
    if mode is not None:
        request.getfixturevalue(mode)
    original = Net()
    ticket.apply(original)
    model = CHANGES[change](original)
    train(model)
    assert grown(model, ticket) == 0
    kept = ticket.mask["fc1.weight"]
    assert not torch.equal(model.get_parameter("fc1.weight")[kept].float(), ticket.weights["fc1.weight"][kept])
    if model is not original:
        train(original)
        assert grown(original, ticket) == 0


@pytest.mark.parametrize("mode", [None, "swapping", "overwriting"])
@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("part", ["", "fc1", "body.1"])
def test_a_state_that_is_not_pruned_is_pruned_as_it_is_loaded(
    part: str, assign: bool, mode: str | None, ticket: Ticket, request: pytest.FixtureRequest
) -> None:
    if mode is not None:
        request.getfixturevalue(mode)
    model = Net()
    ticket.apply(model)
    model.get_submodule(part).load_state_dict(Net().get_submodule(part).state_dict(), assign=assign)
    assert grown(model, ticket) == 0, "before any step"
    train(model)
    assert grown(model, ticket) == 0


def test_the_handle_ends_it_and_only_once_for_its_own_ticket(ticket: Ticket) -> None:
    model = Net()
    first = ticket.apply(model)
    second = ticket.apply(model)
    first.remove()
    train(model)
    assert grown(model, ticket) == 0, "the second one holds"
    second.remove()
    second.remove()
    train(model)
    assert grown(model, ticket) > 0
    assert not any(module._load_state_dict_post_hooks for module in model.modules())
    with ticket.apply(model):
        train(model)
        assert grown(model, ticket) == 0
    train(model)
    assert grown(model, ticket) > 0


def test_a_copys_handle_is_its_own(ticket: Ticket) -> None:
    model = Net()
    handle = ticket.apply(model)
    twin = copy.deepcopy(model)
    handle.remove()
    train(model)
    train(twin)
    assert grown(model, ticket) > 0 and grown(twin, ticket) == 0
    ticket.apply(twin).remove()
    train(twin)
    assert grown(twin, ticket) > 0


def compiled(module: nn.Module) -> nn.Module:
    made: Any = torch.compile(module, backend="eager")
    assert isinstance(made, nn.Module)
    return made


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "torch.compile": compiled,
    "DataParallel": lambda model: nn.DataParallel(model),
    "both": lambda model: nn.DataParallel(compiled(model)),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("first", ["wrapped", "applied"])
def test_a_wrapped_model_takes_a_ticket(wrapper: str, first: str, ticket: Ticket) -> None:
    model = Net()
    if first == "applied":
        ticket.apply(model)
    wrapped = WRAPPERS[wrapper](model)
    if first == "wrapped":
        ticket.apply(wrapped)
    assert grown(model, ticket) == 0
    assert torch.equal(model.head.weight, ticket.weights["head.weight"])
    train(wrapped)
    assert grown(model, ticket) == 0
    wrapped.load_state_dict(copy.deepcopy(wrapped.state_dict()), assign=True)
    train(wrapped)
    assert grown(model, ticket) == 0


def test_parts_that_are_compiled_take_a_ticket_with_another_head(ticket: Ticket) -> None:
    model = Net(classes=7)
    for name in ("body", "head"):
        setattr(model, name, compiled(model.get_submodule(name)))
    weights = dict(model.named_parameters())
    own = weights["head._orig_mod.weight"].detach().clone()
    ticket.apply(model)
    assert torch.equal(dict(model.named_parameters())["head._orig_mod.weight"], own)
    train(model)
    assert not dict(model.named_parameters())["body._orig_mod.1.weight"][~ticket.mask["body.1.weight"]].any()


def test_a_parametrization_that_takes_a_parameters_place_is_told_at_the_next_step(ticket: Ticket) -> None:
    class Half(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return weight / 2

    for change in (
        lambda model: parametrize.register_parametrization(model.fc1, "weight", Half()),
        lambda model: prune.l1_unstructured(model.fc1, "weight", 0.5),
    ):
        model = Net()
        handle = ticket.apply(model)
        change(model)
        with pytest.raises(
            LostMaskError, match=r"fc1\.weight is no parameter of the model any more.*another layer.*remove\(\)"
        ):
            train(model)
        handle.remove()
        train(model)


def test_a_parameter_of_another_shape_is_told(ticket: Ticket) -> None:
    model = Net()
    ticket.apply(model)
    model.fc1.weight = nn.Parameter(torch.ones(12, 1))
    with pytest.raises(
        LostMaskError, match=r"fc1\.weight is \[12, 1\], and its mask is \[12, 6\]: another layer was put"
    ):
        model.load_state_dict({}, strict=False)


def test_models_that_are_not_trained_are_left_alone(ticket: Ticket) -> None:
    model, other = Net(), Net()
    ticket.apply(model)
    with torch.no_grad():
        model.fc1.weight.fill_(1)
    train(other)
    assert (model.fc1.weight == 1).all() and (other.fc1.weight != 0).all()


def test_a_lazy_model_is_refused_until_it_has_shapes(ticket: Ticket) -> None:
    model = Net()
    model.fc1 = nn.LazyLinear(12)
    with pytest.raises(TicketError, match=r"fc1\.weight .* has no shape before its first forward pass \(lazy\)"):
        ticket.apply(model)
    model(torch.ones(2, 6))
    ticket.apply(model)
    train(model)
    assert grown(model, ticket) == 0


@pytest.mark.filterwarnings("ignore")
def test_models_in_shards_are_refused_before_and_after(ticket: Ticket, tmp_path: Path) -> None:
    import torch.distributed as dist
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        parallel = DistributedDataParallel(Net())
        ticket.apply(parallel)
        train(parallel)
        assert grown(parallel.module, ticket) == 0
        mesh = dist.device_mesh.init_device_mesh("cpu", (1,))
        sharded = Net()
        fully_shard(sharded, mesh=mesh)  # in place
        with pytest.raises(TicketError, match=r"This .*Net is in shards \(FSDP, DTensor\)"):
            ticket.apply(sharded)
        model = Net()
        ticket.apply(model)
        fully_shard(model, mesh=mesh)
        with pytest.raises(LostMaskError, match="in shards"):
            train(model)
    finally:
        dist.destroy_process_group()
