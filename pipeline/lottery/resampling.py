"""Boxes of images resampled to one size: torchvision's RandomResizedCrop for a whole batch at once."""

import math

import torch
from torch import Generator, Tensor

SCALE = (0.08, 1.0)
"""Share of the image's area in a box."""
RATIO = (3 / 4, 4 / 3)
"""Width of a box by its height."""
ATTEMPTS = 10


def random_boxes(count: int, stored: tuple[int, int], generator: Generator) -> Tensor:
    """int64 [count, 4]: top, left, height and width of boxes in images of the size `stored` (height, width).

    torchvision's rule: area and aspect ratio are drawn until the box fits, ten times at most; then the middle of the
    image, as wide or as high as the ratio allows.
    """
    height, width = stored
    area = height * width * torch.empty(count, ATTEMPTS).uniform_(*SCALE, generator=generator)
    log_ratio = (math.log(RATIO[0]), math.log(RATIO[1]))
    ratio = torch.empty(count, ATTEMPTS).uniform_(*log_ratio, generator=generator).exp_()
    place = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    sides = torch.stack([(area / ratio).sqrt_().round_(), (area * ratio).sqrt_().round_()], dim=2).long()
    limits = torch.tensor([height, width])
    fits = ((sides > 0) & (sides <= limits)).all(2)  # [count, ATTEMPTS]
    first = fits.int().argmax(1)  # the first that fits; 0 where none does
    chosen = sides[torch.arange(count), first]  # [count, 2]
    corner = (place * (limits - chosen + 1)).long()
    boxes = torch.cat([corner, chosen], dim=1)
    boxes[~fits.any(1)] = torch.tensor(_middle(height, width))
    return boxes


def resampled(images: Tensor, box: Tensor, size: tuple[int, int]) -> Tensor:
    """Each image's box [B, 4], resampled to `size`: uint8 [B, C, H, W] -> uint8 [B, C, *size].

    Bilinear with antialiasing, what torchvision's resized_crop gives for tensors to one grey level: two batched matrix
    products with a triangle filter, one along each axis.
    """
    batch, channels, height, width = images.shape
    rows = _filter(box[:, 0], box[:, 2], height, size[0])  # [B, size[0], H]
    columns = _filter(box[:, 1], box[:, 3], width, size[1])
    wide = images.reshape(batch, channels * height, width).float()
    narrow = torch.bmm(wide, columns.transpose(1, 2)).view(batch, channels, height, size[1])
    # A product for each channel: broadcasting would copy the filters.
    pixels = torch.stack([torch.bmm(rows, narrow[:, channel]) for channel in range(channels)], dim=1)
    return pixels.round_().clamp_(0, 255).byte()


def _filter(start: Tensor, length: Tensor, stored: int, seen: int) -> Tensor:
    """float32 [B, seen, stored]: what each stored pixel of the runs [B] adds to each pixel that is seen."""
    scale = (length / seen)[:, None, None]  # stored pixels for each that is seen
    middle = scale * (torch.arange(seen, device=start.device) + 0.5)[:, None]  # [B, seen, 1]
    place = torch.arange(stored, device=start.device) - start[:, None, None]  # [B, 1, stored], within the box
    inside = (place >= 0) & (place < length[:, None, None])
    weight = (1 - (place + 0.5 - middle).abs() / scale.clamp_min(1)).clamp_min_(0) * inside
    return weight / weight.sum(2, keepdim=True)


def _middle(height: int, width: int) -> tuple[int, int, int, int]:
    rows, columns = height, width
    if width < height * RATIO[0]:
        rows = round(width / RATIO[0])
    elif width > height * RATIO[1]:
        columns = round(height * RATIO[1])
    return (height - rows) // 2, (width - columns) // 2, rows, columns
