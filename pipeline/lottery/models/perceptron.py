"""Perceptrons with one hidden layer, many independent ones at once."""

import math
from collections import OrderedDict

from torch import nn

from pipeline.lottery.many_networks import AgainstZero, ForEach, ManyLinear
from pipeline.recipes.model_base import ImageShape
from pipeline.recipes.models import Perceptron


def perceptron(model: Perceptron, input_shape: ImageShape, classes: int) -> nn.Sequential:
    """`networks` times: a hidden layer with ReLU, one output with a sigmoid; [B, C, H, W] -> logits [networks, B, 2].

    Parameters: `hidden.weight` [networks, hidden, inputs], `hidden.bias` [networks, hidden], `head.weight`
    [networks, 1, hidden], `head.bias` [networks, 1]. Frankle & Carbin 2018, section 2.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(each=ForEach(model.networks))
    layers["hidden"] = ManyLinear(model.networks, math.prod(input_shape), model.hidden)
    layers["relu"] = nn.ReLU()
    layers["head"] = ManyLinear(model.networks, model.hidden, 1)
    layers["sigmoid"] = AgainstZero()
    return nn.Sequential(layers)
