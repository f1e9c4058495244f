"""Residual networks of torchvision's blocks, at any width: ResNet50, ResNet18 and ResNet20."""

from collections import OrderedDict
from typing import Any

from torch import nn

from pipeline.lottery.models.heads import head
from pipeline.recipes.model_base import ImageShape
from pipeline.recipes.resnets import Resnet, Resnet18, Resnet20, Resnet50


def resnet50(model: Resnet50, input_shape: ImageShape, classes: int) -> nn.Sequential:
    """[B, C, H, W] -> [B, classes], images of any size; with 3 channels and width 64 it is torchvision's resnet50.

    Parameter names are torchvision's at every width (`conv1.weight`, `layer1.0.conv1.weight`, ..., `fc.weight`). Every
    data set has the same stem, a 7x7 convolution of stride 2 and a max pool of stride 2: 32x32 pixels enter the first
    stage as 8x8. Morcos et al. 2019 (appendix A.1) refer to He et al. 2015, who halve the resolution of a stage in its
    first 1x1 convolution; torchvision's blocks do it in the 3x3 convolution ("v1.5"). Shapes and counts are the same.
    """
    # Imported here: torchvision takes a second, and the other models do without.
    from torchvision.models.resnet import Bottleneck

    stem: OrderedDict[str, nn.Module] = OrderedDict()
    stem["conv1"] = nn.Conv2d(input_shape[0], model.width, model.stem, stride=2, padding=3, bias=False)
    stem["bn1"] = nn.BatchNorm2d(model.width)
    stem["relu"] = nn.ReLU(inplace=True)
    stem["maxpool"] = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
    return _resnet(model, stem, Bottleneck, classes)


def resnet18(model: Resnet18, input_shape: ImageShape, classes: int) -> nn.Sequential:
    """[B, C, H, W] -> [B, classes]: torchvision's resnet18 with a stem for small images, a 3x3 convolution of stride 1.

    Mehta 2019 trains "ResNet18" of 11.6 million weights, 10.9 million of them in convolutions; at width 64 these 3x3
    convolutions have 10,987,200, and the three 1x1 ones of the shortcuts 172,032. Its 2-layer head is [100].
    """
    return _small(model, input_shape, classes)


def resnet20(model: Resnet20, input_shape: ImageShape, classes: int) -> nn.Sequential:
    """[B, C, H, W] -> [B, classes]: 16, 32 and 64 channels at width 16, three blocks each.

    He et al. 2015, section 4.2, for CIFAR-10, with projections in the shortcuts. Table 1 of Mehta 2019 (as Frankle &
    Carbin 2019) lists these layers under the name ResNet18, beside the number of weights of the larger network.
    """
    return _small(model, input_shape, classes)


def _small(model: Resnet, input_shape: ImageShape, classes: int) -> nn.Sequential:
    from torchvision.models.resnet import BasicBlock

    stem: OrderedDict[str, nn.Module] = OrderedDict()
    stem["conv1"] = nn.Conv2d(input_shape[0], model.width, model.stem, padding=1, bias=False)
    stem["bn1"] = nn.BatchNorm2d(model.width)
    stem["relu"] = nn.ReLU(inplace=True)
    return _resnet(model, stem, BasicBlock, classes)


def _resnet(model: Resnet, parts: "OrderedDict[str, nn.Module]", block: type[Any], classes: int) -> nn.Sequential:
    channels = model.width
    for number, (units, blocks) in enumerate(model.stages, start=1):
        planes = units * model.width
        parts[f"layer{number}"] = _stage(block, channels, planes, blocks, stride=1 if number == 1 else 2)
        channels = block.expansion * planes
    parts["avgpool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["fc"] = head(channels, classes, model.head)
    return nn.Sequential(parts)


def _stage(block: type[Any], channels: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    out: int = planes * block.expansion
    shortcut = None
    if stride > 1 or out != channels:
        shortcut = nn.Sequential(
            nn.Conv2d(channels, out, kernel_size=1, stride=stride, bias=False),
            nn.BatchNorm2d(out),
        )
    first = block(channels, planes, stride, shortcut)
    return nn.Sequential(first, *(block(out, planes) for _ in range(blocks - 1)))
