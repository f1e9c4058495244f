"""Frozen features: only the head of a network is trained."""

from torch import nn

from pipeline.lottery.layers import head, is_below


def freeze_features(model: nn.Module) -> None:
    """Everything but the head is a fixed function from here on: no gradients, and evaluation mode.

    So batch norm normalizes by its running statistics and does not update them: of weights that were trained these are
    the source's, of fresh ones means 0 and variances 1. Mehta 2019, section 3.1, says that the convolutions are frozen
    and nothing of the statistics.
    """
    own = head(model)
    for name, parameter in model.named_parameters():
        if not is_below(name, own):
            parameter.requires_grad_(False)
    for name, module in model.named_modules():
        if not is_below(name, own) and not is_below(own, name):
            module.eval()
