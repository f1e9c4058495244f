"""The small network of TensorFlow's CIFAR-10 tutorial, as Van Soelen & Sheppard 2019 have it."""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.recipes.model_base import ImageShape
from pipeline.recipes.models import Cifarnet

RADIUS = 4
"""Depth radius of the local response normalization (Table I of the paper)."""
ALPHA = 0.001 / 9


def cifarnet(model: Cifarnet, input_shape: ImageShape, classes: int) -> nn.Sequential:
    """Two convolutions, each pooled and normalized over neighbouring channels, then 384, 192 and the output layer.

    [B, C, H, W] -> [B, classes], H and W multiples of 4 (28 in the paper). 5x5 convolutions of `width` (64) channels
    with "same" padding, ReLU, max pool 3x3 of stride 2 with TensorFlow's "same" padding (28 -> 14 -> 7), local response
    normalization; 6 x `width` and 3 x `width` units with ReLU. Parameters: `conv1.weight`, `conv1.bias`, ...,
    `fc1.weight`, `fc2.weight`, `head.weight`.

    Van Soelen & Sheppard 2019, Table I. It gives the depth radius alone; bias 1, alpha 0.001 / 9 and beta 0.75 are the
    tutorial's, whose network theirs is but for the order of normalization and pooling in the second layer.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = input_shape[0]
    for number in (1, 2):
        layers[f"conv{number}"] = nn.Conv2d(channels, model.width, kernel_size=5, padding=2)
        layers[f"relu{number}"] = nn.ReLU()
        # Of an even side the odd last window is cut off (ceil), which is what "same" padding comes to.
        layers[f"pool{number}"] = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        layers[f"norm{number}"] = LocalResponseNorm()
        channels = model.width
    layers["flatten"] = nn.Flatten()
    size = model.width * (input_shape[1] // 4) * (input_shape[2] // 4)
    for number, units in enumerate(model.units, start=1):
        layers[f"fc{number}"] = nn.Linear(size, units)
        layers[f"relu{number + 2}"] = nn.ReLU()
        size = units
    layers["head"] = nn.Linear(size, classes)
    return nn.Sequential(layers)


class LocalResponseNorm(nn.Module):
    """TensorFlow's: x / (1 + ALPHA * sum of x^2 over the channel and RADIUS on either side)^0.75, [B, C, H, W].

    torch.nn.LocalResponseNorm, which divides alpha by the window's size, 9, gives the same to float32's precision. A
    band matrix sums the squares here: a fifth to a sixth of its time ([64, 64, 14, 14] with the gradient, one CPU core,
    best of 12 each).
    """

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        band = x.new_ones(channels, channels).tril(RADIUS).triu(-RADIUS)
        inverse_root = (1 + ALPHA * F.conv2d(x * x, band[:, :, None, None])).rsqrt()
        return x * (inverse_root * inverse_root.sqrt())
