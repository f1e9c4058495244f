"""Heads of several layers, and features that are frozen below them."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline import Ticket
from pipeline.lottery.data import Images, load
from pipeline.lottery.layers import Head, head, prunable
from pipeline.lottery.models import build, initialize
from pipeline.lottery.pruning import prune
from pipeline.lottery.tensor_files import load_weights, save_weights
from pipeline.lottery.training import Trained, train
from pipeline.lottery.transfer import starting_point
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.models import model_from
from pipeline.recipes.rules import ByRate
from pipeline.recipes.training import Train

RESNET = {"name": "resnet20", "width": 4}
TWO_LAYERS = RESNET | {"head": [6]}
REF = {"stage": "0" * 64, "output": "final"}
TICKET = {"mask": REF, "weights": REF, "head": "redraw"}
FIELDS: dict[str, Any] = {
    "kind": "train",
    "recipe": 1,
    "model": TWO_LAYERS,
    "input": [3, 8, 8],
    "classes": 5,
    "data": {"name": "digits", "classes": [5, 6, 7, 8, 9], "channels": 3},
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2},
    "batch_size": 64,
    "iterations": 10,
    "record_every": 5,
    "seed": 0,
    "round": 1,
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    return load(DataSet.from_fields(FIELDS["data"]), tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def source(images: Images) -> dict[str, Tensor]:
    """Trained weights of a network with a head of one layer."""
    final = train(Train.from_fields(FIELDS | {"model": RESNET, "round": 0}), {}, images).final
    assert final is not None
    return final


@pytest.fixture(scope="module")
def mask(source: dict[str, Tensor]) -> dict[str, Tensor]:
    names = list(prunable(build(model_from(RESNET), [3, 8, 8], 5)))
    return prune({name: source[name] for name in names}, None, ByRate(0.5))


def fine_tuned(images: Images, inputs: Mapping[str, dict[str, Tensor]], **more: Any) -> Trained:
    done = train(Train.from_fields(FIELDS | {"start": TICKET, **more}), inputs, images)
    assert done.final is not None
    return done


def test_layers_of_a_head_are_never_pruned_and_do_not_change_the_features() -> None:
    one, two = build(model_from(RESNET), [3, 8, 8], 5), build(model_from(TWO_LAYERS), [3, 8, 8], 5)
    assert head(one) == head(two) == "fc"
    assert list(prunable(one)) == list(prunable(two))
    assert isinstance(two.get_submodule("fc"), Head)
    assert set(prunable(two, output=True)) - set(prunable(two)) == {"fc.0.weight", "fc.2.weight"}
    initialize(one, 3, model_from(RESNET))
    initialize(two, 3, model_from(TWO_LAYERS))
    assert all(torch.equal(weight, dict(two.named_parameters())[name]) for name, weight in prunable(one).items())


def test_a_ticket_starts_under_another_head_which_is_fresh(source: dict[str, Tensor], mask: dict[str, Tensor]) -> None:
    model = build(model_from(TWO_LAYERS), [3, 8, 8], 5)
    starting_point(model, Train.from_fields(FIELDS | {"start": TICKET}), {"mask": mask, "weights": source})
    fresh = build(model_from(TWO_LAYERS), [3, 8, 8], 5)
    initialize(fresh, 0, model_from(TWO_LAYERS))
    for name, value in model.state_dict().items():
        if name.startswith("fc."):
            assert torch.equal(value, fresh.state_dict()[name])
        else:
            assert torch.equal(value, source[name] * mask[name] if name in mask else source[name])


def test_another_head_cannot_be_kept(source: dict[str, Tensor], mask: dict[str, Tensor]) -> None:
    start = {"mask": REF, "weights": REF}
    with pytest.raises(ValueError, match=r"fc\.0\.weight is in the model only"):
        starting_point(
            build(model_from(TWO_LAYERS), [3, 8, 8], 5),
            Train.from_fields(FIELDS | {"start": start}),
            {"mask": mask, "weights": source},
        )


def test_a_ticket_is_applied_under_another_head(source: dict[str, Tensor], mask: dict[str, Tensor]) -> None:
    model = build(model_from(TWO_LAYERS), [3, 8, 8], 5)
    initialize(model, 1, model_from(TWO_LAYERS))
    before = {name: value.clone() for name, value in model.state_dict().items() if name.startswith("fc.")}
    Ticket(mask, dict(source)).apply(model)
    assert before.keys() == {"fc.0.weight", "fc.0.bias", "fc.2.weight", "fc.2.bias"}
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert int((model.state_dict()["conv1.weight"] != 0).sum()) <= int(mask["conv1.weight"].sum())


@pytest.mark.parametrize("optimizer", [FIELDS["optimizer"], {"name": "adam", "lr": 1e-2, "weight_decay": 1e-2}])
def test_frozen_features_stay_as_they_start_bit_for_bit_batch_norm_statistics_included(
    images: Images, source: dict[str, Tensor], mask: dict[str, Tensor], optimizer: dict[str, Any]
) -> None:
    inputs = {"mask": mask, "weights": source}
    final = fine_tuned(images, inputs, frozen="features", optimizer=optimizer).final
    moving = fine_tuned(images, inputs, optimizer=optimizer).final
    assert final is not None and moving is not None
    started = build(model_from(TWO_LAYERS), [3, 8, 8], 5)
    starting_point(started, Train.from_fields(FIELDS | {"start": TICKET}), inputs)
    for name, value in started.state_dict().items():
        assert torch.equal(final[name], value) is not name.startswith("fc."), name
    assert not torch.equal(moving["bn1.running_mean"], source["bn1.running_mean"])
    assert not torch.equal(moving["conv1.weight"], source["conv1.weight"] * mask["conv1.weight"])


def test_what_is_learned_above_frozen_features_is_logistic_regression_on_them(
    images: Images, source: dict[str, Tensor], mask: dict[str, Tensor]
) -> None:
    """An oracle: the features computed once, in evaluation mode, and a linear layer trained on them by torch alone."""
    fields = FIELDS | {"model": RESNET, "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}}
    ours = train(
        Train.from_fields(fields | {"start": TICKET, "frozen": "features"}), {"mask": mask, "weights": source}, images
    ).final
    assert ours is not None
    network = build(model_from(RESNET), [3, 8, 8], 5)
    starting_point(network, Train.from_fields(fields | {"start": TICKET}), {"mask": mask, "weights": source})
    network.eval()
    from pipeline.lottery.batches import Batches
    from pipeline.lottery.normalization import Normalization

    normalize = Normalization(images.mean, images.std, torch.device("cpu"), False)
    batches = Batches(Train.from_fields(fields), images, normalize, torch.device("cpu"))
    linear = network.get_submodule("fc")
    body = nn.Sequential(*list(network.children())[:-1])
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.1, momentum=0.9)
    for iteration in range(fields["iterations"]):
        pixels, labels = batches.at(iteration)
        with torch.no_grad():
            features = body(pixels)
        optimizer.zero_grad()
        nn.functional.cross_entropy(linear(features), labels).backward()
        optimizer.step()
    torch.testing.assert_close(ours["fc.weight"], linear.get_parameter("weight").detach(), rtol=1e-5, atol=1e-6)


def test_a_frozen_training_goes_on_from_a_checkpoint_with_the_same_bits(
    images: Images, source: dict[str, Tensor], mask: dict[str, Tensor]
) -> None:
    from pipeline.lottery.checkpoint import Checkpoint
    from pipeline.lottery.hooks import Hooks, Interrupted

    inputs, kept = {"mask": mask, "weights": source}, list[Checkpoint]()
    fields = FIELDS | {"start": TICKET, "frozen": "features"}
    with pytest.raises(Interrupted):
        train(Train.from_fields(fields), inputs, images, hooks=Hooks(should_stop=lambda: True, checkpoint=kept.append))
    resumed = train(Train.from_fields(fields), inputs, images, resume=kept[0])
    whole = train(Train.from_fields(fields), inputs, images)
    assert resumed.history == whole.history and resumed.final is not None and whole.final is not None
    assert save_weights(resumed.final) == save_weights(whole.final)
    assert load_weights(save_weights(whole.final)).keys() == whole.final.keys()
