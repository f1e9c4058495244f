"""ResNet18 and ResNet20 for small images: torchvision's blocks, the papers' counts."""

import pytest
import torch
import torchvision

from pipeline.lottery.models import build
from pipeline.recipes.models import model_from


def test_resnet18_has_the_convolutions_of_the_paper_and_torchvisions_names() -> None:
    model = build(model_from({"name": "resnet18"}), [3, 32, 32], 10)
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    by_side = {side: sum(m.weight.numel() for m in convolutions if m.kernel_size[0] == side) for side in (1, 3)}
    assert by_side == {3: 10_987_200, 1: 172_032}  # "10.9M" of Mehta 2019, Table 1
    theirs = torchvision.models.resnet18(num_classes=10).state_dict()
    ours = model.state_dict()
    assert list(ours) == list(theirs)
    assert [name for name in ours if ours[name].shape != theirs[name].shape] == ["conv1.weight"]


def test_the_blocks_of_resnet18_compute_what_torchvisions_do() -> None:
    ours, theirs = build(model_from({"name": "resnet18"}), [3, 32, 32], 10), torchvision.models.resnet18(num_classes=10)
    for name in ("layer1", "layer2", "layer3", "layer4"):
        theirs.get_submodule(name).load_state_dict(ours.get_submodule(name).state_dict())
    x = torch.randn(2, 64, 8, 8)
    for name in ("layer1", "layer2", "layer3", "layer4"):
        here, there = ours.get_submodule(name)(x), theirs.get_submodule(name)(x)
        assert torch.equal(here, there)
        x = here.detach()


def test_a_head_of_two_layers_adds_what_the_paper_says() -> None:
    one, two = (build(model_from({"name": "resnet18", "head": head}), [3, 32, 32], 10) for head in ([], [100]))
    more = [sum(p.numel() for p in model.parameters()) for model in (one, two)]
    assert more[1] - more[0] == (512 * 100 + 100 + 100 * 10 + 10) - (512 * 10 + 10)  # "approximately 50,000": 47,180


@pytest.mark.parametrize("size", [28, 32, 9])
def test_resnet20_has_three_stages_of_16_32_and_64_channels(size: int) -> None:
    model = build(model_from({"name": "resnet20"}), [3, size, size], 10)
    assert [model.get_parameter(f"layer{n}.2.conv2.weight").shape[0] for n in (1, 2, 3)] == [16, 32, 64]
    assert sum(isinstance(m, torch.nn.Conv2d) and m.kernel_size[0] == 3 for m in model.modules()) == 19
    assert model(torch.randn(2, 3, size, size)).shape == (2, 10)
