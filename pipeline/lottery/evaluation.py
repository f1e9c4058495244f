"""Loss and accuracy on test images."""

from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.lottery.history import Tally
from pipeline.lottery.normalization import Normalization


def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    normalize: Normalization,
    precision: AbstractContextManager[object],
    batch_size: int,
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy over uint8 images [N, C, H, W] and labels [N].

    The model runs in evaluation mode and is then put back into the mode it was in.
    """
    tally = Tally(images.device)
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), precision:
            for start in range(0, len(images), batch_size):
                batch = slice(start, start + batch_size)
                outputs = model(normalize(images[batch])).float()
                tally.add(F.cross_entropy(outputs, labels[batch]), outputs, labels[batch])
    finally:
        model.train(training)
    return tally.mean()
