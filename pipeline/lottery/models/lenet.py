"""Fully connected networks for images of one size: LeNet-h-h, and the output layer alone."""

import math
from collections import OrderedDict

from torch import nn

from pipeline.recipes.model_base import ImageShape
from pipeline.recipes.models import Lenet, Linear


def lenet(model: Lenet, input_shape: ImageShape, classes: int) -> nn.Sequential:
    """Linear and ReLU for each hidden size, then the output layer; LeNet-300-100 is hidden = [300, 100].

    [B, C, H, W] -> [B, classes]. Parameters: `fc1.weight`, `fc1.bias`, `fc2.weight`, ..., `head.weight`, `head.bias`.
    LeCun et al. 1998, as in Frankle & Carbin 2018, section 3.1.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    size = math.prod(input_shape)
    for number, width in enumerate(model.hidden, start=1):
        layers[f"fc{number}"] = nn.Linear(size, width)
        layers[f"relu{number}"] = nn.ReLU()
        size = width
    layers["head"] = nn.Linear(size, classes)
    return nn.Sequential(layers)


def linear(model: Linear, input_shape: ImageShape, classes: int) -> nn.Sequential:
    """The output layer on pixels, [B, C, H, W] -> [B, classes]: logistic regression. Mehta 2019, section 3.2."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    layers["head"] = nn.Linear(math.prod(input_shape), classes)
    return nn.Sequential(layers)
