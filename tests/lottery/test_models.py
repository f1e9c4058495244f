"""Models: names and shapes of what can be pruned, any input size, and a user's own class from a file."""

import hashlib
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.lottery import models
from pipeline.lottery.plugins import PluginError
from pipeline.recipes.models import model_from

LENET = {"name": "lenet", "hidden": [300, 100]}
CONVNET = {"name": "convnet", "width": 16}


def user_model(tmp_path: Path, source: str, **fields: Any) -> tuple[dict[str, Any], Path]:
    """Model fields and file of a user's model, as planning makes them."""
    file = tmp_path / "my_models.py"
    file.write_text("import torch\nfrom torch import nn\n" + textwrap.dedent(source))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return {"name": "user", "class": "Net", "source": sha256, **fields}, file


NET = """
    class Net(nn.Module):
        def __init__(self, input_shape, classes, width=4):
            super().__init__()
            self.stem = nn.Conv2d(input_shape[0], width, 3, padding=1)
            self.head = nn.Linear(width, classes)

        def forward(self, x):
            return self.head(self.stem(x).mean((2, 3)))
"""


def test_lenet_300_100_has_the_layers_of_the_paper_and_its_head_is_last() -> None:
    assert models.describe(model_from(LENET), [1, 28, 28], 10) == [
        ("fc1.weight", (300, 784)),
        ("fc2.weight", (100, 300)),
        ("head.weight", (10, 100)),
    ]


def test_convnet_offers_its_convolutions_for_pruning_and_no_batch_norm_or_bias() -> None:
    assert models.describe(model_from(CONVNET), [3, 32, 32], 100) == [
        ("conv1.weight", (16, 3, 3, 3)),
        ("conv2.weight", (32, 16, 3, 3)),
        ("conv3.weight", (64, 32, 3, 3)),
        ("head.weight", (100, 64)),
    ]


@pytest.mark.parametrize("fields", [LENET, CONVNET], ids=["lenet", "convnet"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 5), (3, 32, 32), (1, 2, 1)])
def test_models_take_images_of_any_size(fields: dict[str, Any], shape: tuple[int, int, int]) -> None:
    model = models.build(model_from(fields), shape, 5)
    assert model(torch.rand(3, *shape)).shape == (3, 5)


def test_the_globally_pooled_network_has_the_same_parameters_for_every_size() -> None:
    small, large = (models.build(model_from(CONVNET), [3, size, size], 10).state_dict() for size in (8, 64))
    assert {name: t.shape for name, t in small.items()} == {name: t.shape for name, t in large.items()}


def test_building_does_not_disturb_the_global_random_numbers() -> None:
    before = torch.random.get_rng_state()
    models.build(model_from(CONVNET), [1, 8, 8], 10)
    models.describe(model_from(LENET), [1, 8, 8], 10)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_users_class_gets_the_input_shape_the_classes_and_its_arguments(tmp_path: Path) -> None:
    fields, file = user_model(tmp_path, NET, arguments={"width": 6})
    assert models.describe(model_from(fields), [3, 8, 8], 7, file) == [
        ("stem.weight", (6, 3, 3, 3)),
        ("head.weight", (7, 6)),
    ]
    assert models.build(model_from(fields), [3, 8, 8], 7, file)(torch.rand(2, 3, 8, 8)).shape == (2, 7)


def test_the_output_layer_that_a_users_model_names_is_described_last(tmp_path: Path) -> None:
    fields, file = user_model(
        tmp_path,
        """
        class Net(nn.Module):
            output_layer = "classify"

            def __init__(self, input_shape, classes):
                super().__init__()
                self.classify = nn.Conv2d(2, classes, 1)
                self.stem = nn.Conv2d(input_shape[0], 2, 1)
        """,
    )
    assert [name for name, _ in models.describe(model_from(fields), [1, 4, 4], 3, file)] == [
        "stem.weight",
        "classify.weight",
    ]


def test_a_users_file_runs_once_so_that_its_class_stays_the_same(tmp_path: Path) -> None:
    fields, file = user_model(tmp_path, NET)
    first, second = (models.build(model_from(fields), [1, 4, 4], 3, file) for _ in range(2))
    assert type(first) is type(second)


def test_a_users_file_may_use_dataclasses(tmp_path: Path) -> None:
    fields, file = user_model(
        tmp_path,
        """
        from dataclasses import dataclass

        @dataclass
        class Widths:
            first: int = 3

        class Net(nn.Linear):
            def __init__(self, input_shape, classes):
                super().__init__(Widths().first, classes)
        """,
    )
    assert isinstance(models.build(model_from(fields), [1, 1, 3], 2, file), nn.Linear)


def test_random_buffers_of_a_users_model_are_the_same_in_every_build(tmp_path: Path) -> None:
    fields, file = user_model(
        tmp_path,
        """
        class Net(nn.Module):
            def __init__(self, input_shape, classes):
                super().__init__()
                self.register_buffer("features", torch.randn(5))
        """,
    )
    first = models.build(model_from(fields), [1, 1, 3], 2, file)
    torch.rand(3)
    assert torch.equal(
        first.get_buffer("features"), models.build(model_from(fields), [1, 1, 3], 2, file).get_buffer("features")
    )


def test_a_file_that_changed_since_planning_is_refused(tmp_path: Path) -> None:
    fields, file = user_model(tmp_path, NET)
    file.write_text(file.read_text() + "# edited\n")
    with pytest.raises(PluginError, match=r"my_models\.py: not the file that was planned with"):
        models.build(model_from(fields), [1, 4, 4], 3, file)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Nett(nn.Module): pass\n", "defines no 'Net'. It defines: Nett"),
        ("x = 1\nclass Net(nn.Module)\n    pass\n", r"my_models\.py:4: SyntaxError"),
        ("import no_such_package\n", r"my_models\.py:3: ModuleNotFoundError: No module named 'no_such_package'"),
        ("class Net(nn.Module): pass\n", r"Net\(input_shape=\(1, 4, 4\), classes=3\) failed: TypeError"),
        ("def Net(input_shape, classes): return 3\n", "is not a torch.nn.Module but int"),
        ("Net = 3\n", "'Net' is not a class but int"),
    ],
)
def test_mistakes_in_a_users_file_are_named(tmp_path: Path, source: str, message: str) -> None:
    fields, file = user_model(tmp_path, source)
    with pytest.raises(ValueError, match=message):
        models.build(model_from(fields), [1, 4, 4], 3, file)


def test_a_users_file_that_is_missing_or_not_given_is_named(tmp_path: Path) -> None:
    fields, file = user_model(tmp_path, NET)
    file.unlink()
    with pytest.raises(PluginError, match=r"my_models\.py: cannot be read \(No such file"):
        models.build(model_from(fields), [1, 4, 4], 3, file)
    with pytest.raises(PluginError, match="no file was given"):
        models.build(model_from(fields), [1, 4, 4], 3)


def vgg19(width: int = 64) -> dict[str, Any]:
    return {"name": "vgg19", **({"width": width} if width != 64 else {})}


def test_vgg19_has_the_layers_and_the_parameter_counts_of_the_paper() -> None:
    with torch.device("meta"):
        model = models.build(model_from(vgg19()), [3, 32, 32], 10)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    counts = [sum(parameter.numel() for parameter in module.parameters()) for module in convolutions]
    # 9 weights for each pair of channels, and a bias; "the first layer of VGG19 contains only 1792 parameters"
    assert counts == [
        1_792, 36_928, 73_856, 147_584, 295_168, 590_080, 590_080, 590_080,
        1_180_160, *[2_359_808] * 7,
    ]  # fmt: skip
    assert sum(parameter.numel() for parameter in model.parameters()) == sum(counts) + 2 * 5_504 + 5_130
    pools = [module for module in model.modules() if isinstance(module, nn.MaxPool2d)]
    assert len(pools) == 4 and len(convolutions) == 16


def test_vgg19_has_the_names_of_torchvision_so_that_its_tickets_fit_there() -> None:
    from torchvision.models import vgg19_bn

    with torch.device("meta"):
        ours, theirs = models.build(model_from(vgg19()), [3, 32, 32], 10), vgg19_bn()
    features = {name: t.shape for name, t in theirs.state_dict().items() if name.startswith("features.")}
    assert {name: t.shape for name, t in ours.state_dict().items() if not name.startswith("classifier.")} == features


def test_resnet50_is_torchvisions() -> None:
    from torchvision.models import resnet50

    ours, theirs = models.build(model_from({"name": "resnet50"}), [3, 64, 64], 1000), resnet50()
    assert {name: t.shape for name, t in ours.state_dict().items()} == {
        name: t.shape for name, t in theirs.state_dict().items()
    }
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(ours.eval()(images), theirs.eval()(images))
    assert sum(parameter.numel() for parameter in ours.parameters()) == 25_557_032


@pytest.mark.parametrize("size", [28, 32, 45])
@pytest.mark.parametrize("name", ["vgg19", "resnet50"])
def test_the_papers_models_take_images_of_any_size_at_any_width(name: str, size: int) -> None:
    small = models.build(model_from({"name": name, "width": 4}), [3, size, size], 7)
    assert small(torch.rand(2, 3, size, size)).shape == (2, 7)
    shapes = {name: t.shape for name, t in small.state_dict().items()}
    assert shapes == {
        name: t.shape
        for name, t in models.build(model_from({"name": name, "width": 4}), [3, 96, 64], 7).state_dict().items()
    }


@pytest.mark.parametrize("name", ["vgg19", "resnet50"])
def test_the_papers_models_are_drawn_from_xaviers_normal_distribution(name: str) -> None:
    model = models.build(model_from({"name": name, "width": 16}), [3, 32, 32], 10)
    models.initialize(model, 0, model_from({"name": name, "width": 16}))
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(module.weight)
            wanted = (2 / (fan_in + fan_out)) ** 0.5
            assert module.weight.std().item() == pytest.approx(wanted, rel=6 / module.weight.numel() ** 0.5)
            assert module.bias is None or not module.bias.any()
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.eq(1).all() and not module.bias.any()
