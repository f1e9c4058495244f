"""Initialization: a seed and a module's name decide its weights, and nothing else does."""

import hashlib
import math
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from pipeline.lottery import models
from pipeline.lottery.randomness import stream
from pipeline.recipes.models import model_from

LENET = {"name": "lenet", "hidden": [300, 100]}
CONVNET = {"name": "convnet", "width": 16}


def initialized(
    fields: dict[str, Any],
    seed: int = 0,
    shape: tuple[int, ...] = (1, 8, 8),
    classes: int = 10,
    file: Path | None = None,
) -> dict[str, Tensor]:
    model = models.build(model_from(fields), shape, classes, file)
    models.initialize(model, seed, model_from(fields))
    return model.state_dict()


def test_truncated_normal_weights_are_those_of_the_distribution_and_biases_are_zero() -> None:
    fields = {**LENET, "initialization": {"name": "truncated-normal", "std": 0.1}}
    state = initialized(fields, shape=(1, 28, 28))
    weights = state["fc1.weight"].flatten().double()
    assert weights.abs().max() <= 0.2
    inside = stats.kstest(weights.numpy(), stats.truncnorm(-2, 2, scale=0.1).cdf)
    assert inside.pvalue > 0.001
    assert all(not value.any() for name, value in state.items() if name.endswith("bias"))


def test_networks_of_another_scale_are_the_same_draws_scaled() -> None:
    """A sweep over the scale compares pairs."""
    small, large = (
        initialized({**LENET, "initialization": {"name": "truncated-normal", "std": std}}) for std in (0.1, 0.4)
    )
    for name, value in small.items():
        torch.testing.assert_close(4 * value, large[name])


def test_an_unknown_initialization_is_refused() -> None:
    with pytest.raises(ValueError, match="no initialization 'he'"):
        initialized({**LENET, "initialization": {"name": "he"}})


def user_model(tmp_path: Path, body: str) -> tuple[dict[str, Any], Path]:
    file = tmp_path / "net.py"
    header = "import torch\nfrom torch import nn\nclass Net(nn.Module):\n"
    file.write_text(header + textwrap.indent(textwrap.dedent(body), "    "))
    return {"name": "user", "class": "Net", "source": hashlib.sha256(file.read_bytes()).hexdigest()}, file


LAYERS = """
def __init__(self, input_shape, classes):
    super().__init__()
    self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    self.head = nn.Linear(4, classes)
"""


@pytest.mark.parametrize("fields", [LENET, CONVNET], ids=["lenet", "convnet"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(fields: dict[str, Any]) -> None:
    first, again, other = initialized(fields, 0), initialized(fields, 0), initialized(fields, 1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    weights = [name for name in first if name.endswith("weight") and not name.startswith("bn")]
    assert not any(torch.equal(first[name], other[name]) for name in weights)


def test_weights_are_xavier_normal_and_biases_zero() -> None:
    state = initialized(LENET, shape=(1, 28, 28))
    expected = math.sqrt(2 / (784 + 300))
    n = state["fc1.weight"].numel()
    assert state["fc1.weight"].std().item() == pytest.approx(expected, rel=4 / math.sqrt(2 * n))
    assert state["fc1.weight"].mean().item() == pytest.approx(0, abs=4 * expected / math.sqrt(n))
    assert not any(state[f"{layer}.bias"].any() for layer in ("fc1", "fc2", "head"))


def test_convolutions_count_their_receptive_field_in_xaviers_fans() -> None:
    weight = initialized({"name": "convnet", "width": 64})["conv2.weight"]
    expected = math.sqrt(2 / (9 * 64 + 9 * 128))
    assert weight.std().item() == pytest.approx(expected, rel=4 / math.sqrt(2 * weight.numel()))


def test_initializing_a_used_model_again_makes_its_batch_norm_fresh() -> None:
    model = models.build(model_from(CONVNET), [1, 8, 8], 10)
    models.initialize(model, 0, model_from(CONVNET))
    fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(torch.rand(4, 1, 8, 8)).square().mean().backward()
    optimizer.step()
    assert not torch.equal(model.state_dict()["bn1.running_mean"], fresh["bn1.running_mean"])
    models.initialize(model, 0, model_from(CONVNET))
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in model.state_dict().items())
    assert fresh["bn1.weight"].eq(1).all() and fresh["bn1.running_var"].eq(1).all()
    assert not fresh["bn1.bias"].any() and not fresh["bn1.num_batches_tracked"].any()


@pytest.mark.parametrize("fields", [LENET, CONVNET], ids=["lenet", "convnet"])
def test_a_head_of_another_size_changes_nothing_else(fields: dict[str, Any]) -> None:
    ten, hundred = initialized(fields, classes=10), initialized(fields, classes=100)
    assert hundred["head.weight"].shape[0] == 100
    assert all(torch.equal(ten[name], hundred[name]) for name in ten if not name.startswith("head"))


def test_two_layers_of_one_shape_have_different_weights() -> None:
    state = initialized({"name": "lenet", "hidden": [64, 64]})
    assert state["fc1.weight"].shape == state["fc2.weight"].shape
    assert not torch.equal(state["fc1.weight"], state["fc2.weight"])


def test_the_image_size_changes_nothing_in_a_globally_pooled_network() -> None:
    small, large = initialized(CONVNET, shape=(1, 8, 8)), initialized(CONVNET, shape=(1, 28, 28))
    assert all(torch.equal(small[name], large[name]) for name in small)


def test_another_model_has_other_weights_where_shapes_agree() -> None:
    first, other = initialized(LENET), initialized({"name": "lenet", "hidden": [300, 101]})
    assert not torch.equal(first["fc1.weight"], other["fc1.weight"])


def test_the_order_of_the_model_fields_does_not_matter() -> None:
    first, turned = initialized(LENET), initialized({"hidden": [300, 100], "name": "lenet"})
    assert torch.equal(first["fc1.weight"], turned["fc1.weight"])


def test_the_global_random_numbers_neither_matter_nor_move(tmp_path: Path) -> None:
    own, file = user_model(tmp_path, LAYERS)
    for fields, path in ((LENET, None), (CONVNET, None), (own, file)):
        first = initialized(fields, file=path)
        torch.manual_seed(1234)
        before = torch.random.get_rng_state()
        again = initialized(fields, file=path)
        assert torch.equal(torch.random.get_rng_state(), before)
        assert all(torch.equal(first[name], again[name]) for name in first)


def test_a_controls_stream_redraws_from_the_same_distribution() -> None:
    model = models.build(model_from(LENET), [1, 28, 28], 10)
    draws = []
    streams: list[tuple[str, list[str | int]]] = [("init", [])]
    streams += [("control", [survivors, 3, "{}", "weights"]) for survivors in (500, 501)]
    for what, more in streams:
        models.initialize(model, 0, model_from(LENET), what, *more)
        draws.append(model.get_parameter("fc1.weight").detach().clone())
    assert all(not torch.equal(a, b) for a, b in ((draws[0], draws[1]), (draws[1], draws[2])))
    assert draws[1].std().item() == pytest.approx(draws[0].std().item(), rel=0.02)
    correlation = torch.corrcoef(torch.stack([draws[0].flatten(), draws[1].flatten()]))[0, 1].item()
    assert abs(correlation) < 5 / math.sqrt(draws[0].numel())


def test_a_users_modules_are_reset_each_from_its_own_stream(tmp_path: Path) -> None:
    fields, file = user_model(tmp_path, LAYERS)
    state = initialized(fields, 7, file=file)
    with torch.random.fork_rng():
        torch.manual_seed(stream("init", 7, models.model_id(model_from(fields)), "body.0"))
        reference = nn.Conv2d(1, 4, 3)
    assert reference.bias is not None
    assert torch.equal(state["body.0.weight"], reference.weight) and torch.equal(state["body.0.bias"], reference.bias)
    hundred = initialized(fields, 7, classes=100, file=file)
    assert all(torch.equal(state[name], hundred[name]) for name in state if not name.startswith("head"))
    assert not torch.equal(state["head.weight"], initialized(fields, 8, file=file)["head.weight"])


def test_a_users_own_initialize_gets_the_generator(tmp_path: Path) -> None:
    fields, file = user_model(
        tmp_path,
        LAYERS
        + """
def initialize(self, generator):
    nn.init.uniform_(self.head.weight, 2, 3, generator=generator)
    nn.init.uniform_(self.head.bias, 2, 3)
""",
    )
    first, again, other = (initialized(fields, seed, file=file) for seed in (0, 0, 1))
    for name in ("head.weight", "head.bias"):
        assert first[name].min() >= 2 and torch.equal(first[name], again[name])
        assert not torch.equal(first[name], other[name])


def test_a_users_parameter_that_nothing_initializes_is_refused(tmp_path: Path) -> None:
    fields, file = user_model(
        tmp_path,
        """
        def __init__(self, input_shape, classes):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))
        """,
    )
    with pytest.raises(ValueError, match=r"\(Net\) has parameters of its own but no reset_parameters\(\)"):
        initialized(fields, file=file)


def test_a_model_that_is_not_on_the_cpu_is_refused() -> None:
    with torch.device("meta"):
        model = models.build(model_from(LENET), [1, 8, 8], 10)
    with pytest.raises(ValueError, match="on the CPU"):
        models.initialize(model, 0, model_from(LENET))
