"""What planning knows of the paper's models, and grids of several models."""

from pathlib import Path

import pytest

from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load
from pipeline.experiment.models import MODELS as GRID_MODELS
from pipeline.recipes.model_base import BuiltIn
from pipeline.recipes.models import Cifarnet, Convnet, Linear, Perceptron, Vgg19
from pipeline.recipes.resnets import Resnet18, Resnet20, Resnet50

TWO = """
name: two
seeds: 2
training: {length: 2ep}
prune: {rounds: 2}
sources:
  - {name: lenet, model: lenet-20, dataset: digits}
  - {name: convnet, model: convnet-2, dataset: digits, grid: {dataset.half: [a, b]}}
targets: same
"""


def test_a_perceptron_is_many_networks_of_two_classes(tmp_path: Path) -> None:
    from pipeline.lottery.models import describe

    model = Perceptron(hidden=3, networks=5)
    assert list(model.layers((1, 1, 2), 2)) == describe(model, (1, 1, 2), 2)
    file = tmp_path / "grid.yaml"
    file.write_text("name: g\nmodel: perceptron-4\nseeds: 1\ntraining: {length: 1ep}\nprune: {units: 1, rounds: 1}\n")
    with file.open("a") as text:
        text.write("sources: [digits]\n")
    with pytest.raises(UserError, match="a perceptron tells two classes apart; these are 10"):
        expand(load(file), tmp_path)


MODELS = [
    *(Vgg19(), Vgg19(width=3), Vgg19(width=3, head=(7,)), Resnet50(), Resnet50(width=5), Resnet18(head=(100,))),
    *(Resnet18(width=3), Resnet20(), Resnet20(width=5, head=(7, 8)), Convnet(head=(9,)), Cifarnet(width=3), Linear()),
]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_layer_shapes_are_those_of_the_model_that_is_built(model: BuiltIn) -> None:
    from pipeline.lottery.models import describe

    shape = (3, 32, 28)
    assert list(model.layers(shape, 6)) == describe(model, shape, 6)


@pytest.mark.parametrize("name", [name for name in GRID_MODELS if name != "perceptron"])
def test_what_a_grid_names_is_built_as_it_was_planned(name: str) -> None:
    from pipeline.lottery.models import describe

    planned = GRID_MODELS[name]().described((3, 32, 28), 6)
    assert list(planned.layers) == describe(planned.recipe, (3, 32, 28), 6)


def test_images_too_small_for_vgg19_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text("name: g\nmodel: vgg19\nseeds: 1\ntraining: {length: 1ep}\nprune: {rounds: 1}\nsources: [digits]\n")
    with pytest.raises(UserError, match=r"grid.yaml:6: sources.0: images of 8x8 are too small .* resize to 16"):
        expand(load(file), tmp_path)


def test_a_ticket_is_evaluated_on_the_targets_of_its_own_model(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(TWO)
    points = expand(load(file), tmp_path).points
    pairs = {(point.source, point.target) for point in points if point.ticket == "winning"}
    convnets = ["convnet-half=a", "convnet-half=b"]
    assert pairs == {("lenet", "lenet"), *((source, target) for source in convnets for target in convnets)}
    # random tickets depend on the model: those of one are not those of the other
    random = {
        point.target: point.stage for point in points if (point.ticket, point.round, point.seed) == ("random", 1, 0)
    }
    assert len(set(random.values())) == 3


def test_one_model_for_all_is_a_part_of_keys_wherever_it_is_written(tmp_path: Path) -> None:
    top, own = tmp_path / "top.yaml", tmp_path / "own.yaml"
    common = "name: g\nseeds: 1\ntraining: {length: 1ep}\nprune: {rounds: 1}\n"
    top.write_text(common + "model: lenet-8\nsources: [digits]\n")
    own.write_text(common + "sources: [{dataset: digits, model: {name: lenet, hidden: [8]}}]\n")
    assert list(expand(load(top), tmp_path).stages) == list(expand(load(own), tmp_path).stages)


def test_a_pair_of_different_models_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(TWO + "pairs: {only: [[convnet*, convnet*], [lenet, convnet-half=a]]}\n")
    with pytest.raises(UserError, match=r"grid.yaml:10: pairs.only.1: lenet and convnet-half=a have different models"):
        expand(load(file), tmp_path)


@pytest.mark.parametrize(
    ("options", "groups"),
    [
        ("batch_size: 512, norm_batch: 256, per_class: 20", 2),  # the only batch has 200 images: two groups of 100
        ("batch_size: 512, norm_batch: 256, per_class: 71", 2),  # 710: 512, then 198
        ("batch_size: 512, norm_batch: 256, per_class: 77", None),  # 770: 258 were two groups of 129 already
        ("batch_size: 50, norm_batch: 25, per_class: 20", None),  # no smaller batch
        ("batch_size: 512, norm_batch: 256, per_class: 71, length: 1it", None),  # which is not reached
        ("batch_size: 512, norm_batch: 512, per_class: 71", None),
        ("batch_size: 512, per_class: 71", None),
        ("batch_size: 64, norm_batch: 16, per_class: 10, workers: 2", None),  # 36: 18 on each worker, 9 and 9 as before
        ("batch_size: 64, norm_batch: 16, per_class: 8, workers: 2", 2),  # 16: 8 on each, which were one group
        ("batch_size: 512, norm_batch: 256, per_class: 71, model: lenet-10", None),  # has no batch norm
    ],
)
def test_the_groups_of_a_smaller_last_batch_are_in_the_key_where_they_were_others_before(
    options: str, groups: int | None, tmp_path: Path
) -> None:
    given = dict(option.split(": ") for option in options.split(", "))
    dataset = f"{{name: fashion_mnist, per_class: {given.pop('per_class')}}}"
    workers, model = given.pop("workers", "1"), given.pop("model", "convnet-2")
    training = ", ".join(f"{name}: {value}" for name, value in ({"length": "1ep"} | given).items())
    file = tmp_path / "grid.yaml"
    file.write_text(
        f"name: g\nmodel: {model}\nseeds: 1\ntraining: {{{training}}}\nprune: {{rounds: 1, rewind: 0it}}\n"
        f"sources: [{{name: f, dataset: {dataset}}}]\nresources: {{workers: {workers}}}\n"
    )
    trainings = [stage for stage in expand(load(file), tmp_path).stages.values() if stage.kind == "train"]
    assert {stage.recipe.fields().get("norm_groups") for stage in trainings} == {groups}


@pytest.mark.parametrize(("norm", "groups"), [("nn.BatchNorm2d(4)", 2), ("nn.GroupNorm(2, 4)", None)])
def test_a_users_model_without_batch_norm_has_no_groups_in_its_key(
    norm: str, groups: int | None, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Sequential):\n    def __init__(self, input_shape, classes):\n"
        f"        features = nn.Conv2d(input_shape[0], 4, 3), {norm}, nn.AdaptiveAvgPool2d(1), nn.Flatten()\n"
        "        super().__init__(*features, nn.Linear(4, classes))\n"
    )
    file = tmp_path / "grid.yaml"
    file.write_text(
        "name: g\nmodel: net.py:Net\nseeds: 1\ntraining: {length: 1ep, batch_size: 512, norm_batch: 256}\n"
        "prune: {rounds: 1}\nsources: [{name: f, dataset: {name: fashion_mnist, per_class: 71}}]\n"
    )
    trainings = [stage for stage in expand(load(file), tmp_path).stages.values() if stage.kind == "train"]
    assert {stage.recipe.fields().get("norm_groups") for stage in trainings} == {groups}


def test_groups_of_one_image_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    text = (
        "name: g\nmodel: convnet-2\nseeds: 1\ntraining: {{length: 1ep, batch_size: 64, norm_batch: 8}}\n"
        "prune: {{rounds: 1}}\nsources: [{{name: f, dataset: {{name: fashion_mnist, per_class: {}}}}}]\n"
    )
    file.write_text(text.format(14))  # 140: 64, 64 and 12
    with pytest.raises(UserError, match=r"batch_size: leaves 12 images .* fewer than two for each of 8 groups of"):
        expand(load(file), tmp_path)
    file.write_text(text.format(15))  # 150: 64, 64 and 22
    expand(load(file), tmp_path)


def test_batch_norm_groups_that_workers_make_anyway_are_not_in_the_key(tmp_path: Path) -> None:
    """The paper's groups of 32 on 16 workers of a batch of 512, whether they are written or not."""
    keys = []
    for training in ("batch_size: 64", "batch_size: 64, norm_batch: 32", "batch_size: 64, norm_batch: 16"):
        file = tmp_path / "grid.yaml"
        file.write_text(
            f"name: g\nmodel: convnet-2\nseeds: 1\ntraining: {{length: 1ep, {training}}}\nprune: {{rounds: 1}}\n"
            "sources: [fashion_mnist]\nresources: {workers: 2}\n"
        )
        keys.append(set(expand(load(file), tmp_path).stages))
    assert keys[0] == keys[1] and not keys[0] & keys[2]
