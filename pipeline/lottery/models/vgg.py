"""VGG19 as Morcos et al. 2019 have it: sixteen convolutions with batch norm, globally pooled, one linear layer."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from pipeline.lottery.models.heads import head

BLOCKS = ((1, 2), (2, 2), (4, 4), (8, 4), (8, 4))
"""(channels in units of the width, convolutions) between two max pools; the fifth ends in the global average pool."""


def vgg19(input_shape: tuple[int, int, int], classes: int, width: int, hidden: Sequence[int] = ()) -> nn.Sequential:
    """3x3 convolutions with bias, each with batch norm and ReLU; [B, C, H, W] -> [B, classes], H and W at least 16.

    Appendix A.1 of the paper; its width is 64. The names are those of torchvision's vgg19_bn without its last max pool
    and with one linear layer: `features.0.weight` (convolution), `features.1.weight` (batch norm), ...,
    `classifier.weight`. So a ticket's convolutions fit that network too.
    """
    layers: list[nn.Module] = []
    channels = input_shape[0]
    for units, convolutions in BLOCKS:
        if layers:
            layers.append(nn.MaxPool2d(2))
        for _ in range(convolutions):
            layers += [
                nn.Conv2d(channels, units * width, kernel_size=3, padding=1),
                nn.BatchNorm2d(units * width),
                nn.ReLU(inplace=True),
            ]
            channels = units * width
    parts: OrderedDict[str, nn.Module] = OrderedDict(features=nn.Sequential(*layers))
    parts["avgpool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["classifier"] = head(channels, classes, hidden)
    return nn.Sequential(parts)
