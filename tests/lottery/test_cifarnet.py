"""Van Soelen & Sheppard's network is the one that TensorFlow would build from their Table I."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.lottery.models import build, describe
from pipeline.lottery.models.cifarnet import LocalResponseNorm
from pipeline.recipes.models import model_from

Array = NDArray[np.float64]


def normalized_by_tensorflows_definition(x: Array, radius: int, bias: float, alpha: float, beta: float) -> Array:
    """tf.nn.local_response_normalization of [B, C, H, W]: sqr_sum[c] = sum(x[c - radius : c + radius + 1] ** 2);
    x / (bias + alpha * sqr_sum) ** beta."""
    found = np.empty_like(x)
    for channel in range(x.shape[1]):
        around = x[:, max(0, channel - radius) : channel + radius + 1]
        found[:, channel] = x[:, channel] / (bias + alpha * (around**2).sum(axis=1)) ** beta
    return found


def pooled_with_same_padding(x: Array, window: int, stride: int) -> Array:
    """tf.nn.max_pool(padding="SAME"): ceil(size / stride) windows, the odd pixel of padding below and at the right."""
    size = x.shape[2]
    out = -(-size // stride)
    padding = max((out - 1) * stride + window - size, 0)
    before = padding // 2
    padded = np.full((*x.shape[:2], size + padding, size + padding), -np.inf)
    padded[:, :, before : before + size, before : before + size] = x
    rows = [
        [padded[:, :, stride * i : stride * i + window, stride * j : stride * j + window] for j in range(out)]
        for i in range(out)
    ]
    return np.stack([np.stack([part.max(axis=(2, 3)) for part in row], axis=-1) for row in rows], axis=-2)


def test_local_response_normalization_is_tensorflows() -> None:
    x = torch.randn(2, 64, 5, 5, generator=torch.Generator().manual_seed(0)) * 30
    expected = normalized_by_tensorflows_definition(x.double().numpy(), 4, 1.0, 0.001 / 9, 0.75)
    assert np.abs(x.numpy() - expected).max() > 0.5  # it does something to numbers of this size
    torch.testing.assert_close(LocalResponseNorm()(x), torch.from_numpy(expected).float(), rtol=1e-5, atol=1e-6)


def test_the_gradient_of_the_normalization_is_that_of_torchs() -> None:
    """torch divides alpha by the size of the window."""
    x = torch.randn(2, 16, 3, 3, generator=torch.Generator().manual_seed(0)) * 30
    gradients = []
    for norm in (LocalResponseNorm(), nn.LocalResponseNorm(9, alpha=0.001, beta=0.75, k=1.0)):
        leaf = x.clone().requires_grad_()
        (norm(leaf) ** 2).sum().backward()
        assert leaf.grad is not None
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [28, 14, 32])
def test_pooling_has_tensorflows_same_padding(size: int) -> None:
    pool = build(model_from({"name": "cifarnet"}), [3, 28, 28], 5).get_submodule("pool1")
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    assert np.array_equal(pool(x).numpy(), pooled_with_same_padding(x.double().numpy(), 3, 2).astype(np.float32))


def test_the_layers_are_those_of_table_1_in_its_order() -> None:
    model = build(model_from({"name": "cifarnet"}), [3, 28, 28], 5)
    assert describe(model_from({"name": "cifarnet"}), [3, 28, 28], 5) == [
        ("conv1.weight", (64, 3, 5, 5)),
        ("conv2.weight", (64, 64, 5, 5)),
        ("fc1.weight", (384, 7 * 7 * 64)),
        ("fc2.weight", (192, 384)),
        ("head.weight", (5, 192)),
    ]
    kinds = [type(module).__name__ for module in model.children()]
    block = ["Conv2d", "ReLU", "MaxPool2d", "LocalResponseNorm"]
    assert kinds == [*block, *block, "Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]
    x = torch.randn(1, 3, 28, 28)
    first: nn.Module = model.get_submodule("conv1")
    assert first(x).shape == (1, 64, 28, 28)
    assert model(x).shape == (1, 5)
