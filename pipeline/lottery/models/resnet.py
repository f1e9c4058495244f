"""ResNet50 of torchvision's blocks, at any width."""

from collections import OrderedDict

from torch import nn

STAGES = ((1, 3), (2, 4), (4, 6), (8, 3))
"""(channels of the 3x3 convolution in units of the width, blocks); a block puts out four times as many."""


def resnet50(input_shape: tuple[int, int, int], classes: int, width: int) -> nn.Sequential:
    """[B, C, H, W] -> [B, classes], images of any size; with 3 channels and width 64 it is torchvision's resnet50.

    Parameter names are torchvision's at every width (`conv1.weight`, `layer1.0.conv1.weight`, ..., `fc.weight`). Every
    data set has the same stem, a 7x7 convolution of stride 2 and a max pool of stride 2: 32x32 pixels enter the first
    stage as 8x8. Morcos et al. 2019 (appendix A.1) refer to He et al. 2015, who halve the resolution of a stage in its
    first 1x1 convolution; torchvision's blocks do it in the 3x3 convolution ("v1.5"). Shapes and counts are the same.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv1"] = nn.Conv2d(input_shape[0], width, kernel_size=7, stride=2, padding=3, bias=False)
    parts["bn1"] = nn.BatchNorm2d(width)
    parts["relu"] = nn.ReLU(inplace=True)
    parts["maxpool"] = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
    channels = width
    for number, (units, blocks) in enumerate(STAGES, start=1):
        parts[f"layer{number}"] = _stage(channels, units * width, blocks, stride=1 if number == 1 else 2)
        channels = 4 * units * width
    parts["avgpool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["fc"] = nn.Linear(channels, classes)
    return nn.Sequential(parts)


def _stage(channels: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    # Imported here: torchvision takes a second, and the other models do without.
    from torchvision.models.resnet import Bottleneck

    out = planes * Bottleneck.expansion
    shortcut = nn.Sequential(
        nn.Conv2d(channels, out, kernel_size=1, stride=stride, bias=False),
        nn.BatchNorm2d(out),
    )
    first = Bottleneck(channels, planes, stride, shortcut)
    return nn.Sequential(first, *(Bottleneck(out, planes) for _ in range(blocks - 1)))
