"""A small convolutional network with batch norm, globally pooled: one network for images of any size."""

from collections import OrderedDict

from torch import nn

from pipeline.lottery.models.heads import head
from pipeline.recipes.model_base import ImageShape
from pipeline.recipes.models import Convnet


def convnet(model: Convnet, input_shape: ImageShape, classes: int) -> nn.Sequential:
    """3x3 convolutions of width, 2 width and 4 width channels, each with batch norm and ReLU.

    [B, C, H, W] -> [B, classes]. Max pooling by 2 after the first and the second, global average pooling after the
    third, then the output layer.
    Parameters: `conv1.weight`, `bn1.weight`, `bn1.bias`, ..., `head.weight`, `head.bias`; only the head's depend on
    `classes`, and none on the image's size.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = input_shape[0]
    for number, out in enumerate(model.widths, start=1):
        # No bias: batch norm subtracts the mean, and with it any bias, and adds its own.
        layers[f"conv{number}"] = nn.Conv2d(channels, out, kernel_size=3, padding=1, bias=False)
        layers[f"bn{number}"] = nn.BatchNorm2d(out)
        layers[f"relu{number}"] = nn.ReLU(inplace=True)
        if number < len(model.widths):
            # The odd last row is kept (ceil), so that even the smallest images leave something to pool.
            layers[f"pool{number}"] = nn.MaxPool2d(2, ceil_mode=True)
        channels = out
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["head"] = head(channels, classes, model.head)
    return nn.Sequential(layers)
