"""What Morcos et al. 2019 state, and what they leave open, by field of the grid."""

from collections.abc import Set
from typing import Any

_SGD = {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "nesterov": False}
_ADAM = {"name": "adam", "lr": 3e-4, "weight_decay": 1e-4}
_VGG19 = {"training.length": "160ep", "training.lr_decay": {"at": ["80ep", "120ep"], "factor": 0.1}}
_RESNET50 = {"training.length": "90ep", "training.lr_decay": {"at": ["50ep", "65ep", "80ep"], "factor": 0.1}}
_ROUNDS = [1, 2, 3, 4, 5, 6, 9, 12, 15, 18, 21, 24, 27, 30]
_EITHER = {field: (_VGG19[field], _RESNET50[field]) for field in _VGG19}

_STATED: dict[str, Any] = {
    "model": ({"name": "vgg19", "width": 64}, {"name": "resnet50", "width": 64}),
    "seeds": 6,
    "training.optimizer": (_SGD, _ADAM),
    "training.batch_size": 512,
    "prune.method": "iterative",
    "prune.scope": "global",
    "prune.rate": 0.2,
    "prune.rounds": 30,
    "prune.criterion": "magnitude",
    "prune.rewind": ("1ep", "3ep"),
    "prune.evaluate": (_ROUNDS, [0, *_ROUNDS]),
}
"""Appendix A.1 and sections 3.1 to 3.3. The rewind is 1 epoch, for ImageNet and Places365 3."""

OPEN: dict[str, str] = {
    "training.after_rewind": "the paper trains all runs compared for the same number of epochs",
    "training.augment": "not stated; null is the data set's own default",
    "training.norm_batch": "the paper's batch norm groups are 512 images over its 2 or 16 GPUs",
    "training.precision": "not stated",
    "prune.prune_output": "the paper leaves the output layer out of the ticket",
    "head": "section 3.3: the output layer is redrawn where the data set differs",
    "diagonal": "the same-source curve is the chain's own next round: its output layer is kept",
    "dense": "the dense network's level is not a curve of the paper's",
    "analysis.margin": "not in the paper: a difference that would not matter",
    "analysis.fraction_pruned": "not in the paper: null is the most pruned round that all sources have",
    "analysis.convergence": "not in the paper",
}
"""Why a default is what it is, where the paper says nothing or says it elsewhere than in a number."""

FIXED: tuple[tuple[str, str, str], ...] = (
    ("accuracy", "at the last epoch, never the best one", "the paper reports test accuracy at convergence"),
    ("optimizer state", "fresh in every round", "not stated"),
    ("Adam's weight decay", "L2 in the gradient", "the common form in 2019"),
    ("biases and batch norm", "travel with a winning ticket; a random one starts them anew", "not stated"),
    ("ties in magnitude", "the weight that comes first is pruned first", "not stated"),
    ("diverged runs", "count in the means with their accuracy", "Figure 3b depends on it"),
    ("pairing", "initialization by seed and tensor, data order by seed, target and round", "paired comparisons"),
)
"""(what, how it is, why): choices that no field of the grid changes."""


def settings_of_the_paper(models: Set[str]) -> dict[str, Any]:
    """Field of the grid -> what the paper has; a tuple holds alternatives. Schedules are those of the only model."""
    alone = next(iter(models)) if len(models) == 1 else ""
    return _STATED | {"vgg19": _VGG19, "resnet50": _RESNET50}.get(alone, _EITHER)
