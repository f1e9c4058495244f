"""VGG19 as Morcos et al. 2019 have it: sixteen convolutions with batch norm, globally pooled, one linear layer."""

from collections import OrderedDict

from torch import nn

from pipeline.lottery.models.heads import head
from pipeline.recipes.model_base import ImageShape
from pipeline.recipes.models import Vgg19


def vgg19(model: Vgg19, input_shape: ImageShape, classes: int) -> nn.Sequential:
    """3x3 convolutions with bias, each with batch norm and ReLU; [B, C, H, W] -> [B, classes], H and W at least 16.

    Appendix A.1 of the paper; its width is 64. The names are those of torchvision's vgg19_bn without its last max pool
    and with one linear layer: `features.0.weight` (convolution), `features.1.weight` (batch norm), ...,
    `classifier.weight`. So a ticket's convolutions fit that network too.
    """
    layers: list[nn.Module] = []
    channels = input_shape[0]
    for units, convolutions in model.blocks:
        if layers:
            layers.append(nn.MaxPool2d(2))
        for _ in range(convolutions):
            layers += [
                nn.Conv2d(channels, units * model.width, kernel_size=3, padding=1),
                nn.BatchNorm2d(units * model.width),
                nn.ReLU(inplace=True),
            ]
            channels = units * model.width
    parts: OrderedDict[str, nn.Module] = OrderedDict(features=nn.Sequential(*layers))
    parts["avgpool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["classifier"] = head(channels, classes, model.head)
    return nn.Sequential(parts)
