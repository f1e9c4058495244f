"""The head of a network: its output layer, or several fully connected layers in its place."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from pipeline.lottery.layers import Head


def head(inputs: int, classes: int, hidden: Sequence[int] = ()) -> nn.Module:
    """[B, inputs] -> [B, classes]: one linear layer; `hidden` sizes put a linear layer and a ReLU each before it.

    Parameters of the latter: `0.weight`, `0.bias`, `2.weight`, ... Mehta 2019, section 3.1, replaces ResNet18's output
    layer by 512-100-10.
    """
    if not hidden:
        return nn.Linear(inputs, classes)
    layers: list[nn.Module] = []
    for wide, narrow in pairwise([inputs, *hidden]):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return Head(*layers, nn.Linear(hidden[-1], classes))
