"""What the papers state, and what they leave open, by field of the grid (`analysis.paper` chooses the paper)."""

from collections.abc import Set
from typing import Any

_SGD = {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "nesterov": False}
_ADAM = {"name": "adam", "lr": 3e-4, "weight_decay": 1e-4}
_VGG19 = {"training.length": "160ep", "training.lr_decay": {"at": ["80ep", "120ep"], "factor": 0.1}}
_RESNET50 = {"training.length": "90ep", "training.lr_decay": {"at": ["50ep", "65ep", "80ep"], "factor": 0.1}}
_ROUNDS = [1, 2, 3, 4, 5, 6, 9, 12, 15, 18, 21, 24, 27, 30]
_EITHER = {field: (_VGG19[field], _RESNET50[field]) for field in _VGG19}

_MORCOS: dict[str, Any] = {
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

_NORMAL = {"name": "truncated-normal", "std": 0.1}
_LENET = {
    "model": {"name": "lenet", "hidden": [300, 100], "initialization": _NORMAL},
    "seeds": (5, 10),
    "training.optimizer": {"name": "sgd", "lr": 0.05},
    "training.batch_size": 100,
    "training.length": "50000it",
    "training.record_every": "100it",
    "prune.scope": "layerwise",
    "prune.relative": {"head": 0.5},
    "prune.prune_output": True,
    "prune.rewind": "0it",
    "analysis.convergence": {"name": "moving-average", "window": "1000it", "tolerance": 0.002, "patience": "1000it"},
    "analysis.spread": "range",
}
"""Frankle & Carbin 2018, sections 3.1 and 3.2 and footnote 5; ten trials in section 5."""
_XOR = {
    "model": {"name": "perceptron", "networks": 1000, "initialization": _NORMAL},
    "training.batch_size": 4,
    "training.length": "10000it",
    "prune.units": 2,
    "prune.criterion": ("magnitude-product", "input-magnitude", "output-magnitude"),
    "prune.rewind": "0it",
}
"""Frankle & Carbin 2018, section 2."""

_MEHTA: dict[str, Any] = {
    "training.augment": {"flip": True, "crop": 4},
    "prune.method": ("iterative", "one-shot"),
    "prune.rate": 0.2,
    "prune.criterion": "magnitude",
    "analysis.convergence": {"name": "early-stop"},
}
"""Mehta 2019, sections 2 and 3 and Table 1; lengths are of the source and of the two targets."""
_MEHTA_SGD = {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-4}
_MEHTA_RESNET18 = {
    "model": {"name": "resnet18", "width": 64},
    "training.optimizer": {**_MEHTA_SGD, "lr": 5e-3},
    "training.batch_size": 128,
    "training.length": ("30000it", "25000it"),
    "training.lr_decay": {"to": [1e-3, 1e-4]},
}
_MEHTA_VGG19 = {
    "model": {"name": "vgg19", "width": 64},
    "training.optimizer": {**_MEHTA_SGD, "lr": 1e-2},
    "training.batch_size": 64,
    "training.length": ("112000it", "50000it"),
    "training.lr_decay": {"to": [1e-3, 1e-4]},
}

_VANSOELEN: dict[str, Any] = {
    "model": {"name": "cifarnet", "width": 64},
    "seeds": 10,
    "head": "keep",
    "training.optimizer": {"name": "sgd", "lr": 0.01},
    "training.batch_size": 256,
    "prune.method": "one-shot",
    "prune.scope": "layerwise",
    "prune.fractions": [0.25, 0.5, 0.75, 0.9],
    "prune.prune_output": True,
    "prune.criterion": "magnitude",
    "prune.rewind": "0it",
}
"""Van Soelen & Sheppard 2019, sections III and IV.C and Table I; a seed is one of its ten class splits."""

TITLES = {
    "morcos2019": "Morcos et al. 2019",
    "frankle2018": "Frankle & Carbin 2018",
    "mehta2019": "Mehta 2019",
    "vansoelen2019": "Van Soelen & Sheppard 2019",
}

_OPEN_MORCOS: dict[str, str] = {
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
    ("diverged runs", "count in the means with their accuracy", "Figure 3b of Morcos et al. 2019 depends on it"),
    ("pairing", "initialization by seed and tensor, data order by seed, target and round", "paired comparisons"),
)
"""(what, how it is, why): choices that no field of the grid changes."""


_OPEN_FRANKLE: dict[str, str] = {
    "training.augment": "not stated",
    "training.precision": "not stated",
    "analysis.margin": "the paper's charts tell 0.15 points apart in words",
    "analysis.zero_loss": "the paper says that the loss reached 0",
    "analysis.tie": "not stated; without it no network of which a point lies on the boundary counts as right",
}

_OPEN_MEHTA: dict[str, str] = {
    "seeds": "not stated",
    "training.length": "Table 1; section 4.1 speaks of 50,000 iterations, too",
    "training.lr_decay": "Table 1 has the rates, not when they change",
    "training.precision": "not stated",
    "prune.scope": "not stated",
    "prune.prune_output": "the paper never prunes fully connected layers",
    "prune.rewind": "what the search trains on from is not stated; tickets start from weights of its round 0, or anew",
    "dense": "the paper's reference is the dense network fine-tuned from the source's weights",
    "analysis.convergence": "section 2: the minimum of the validation loss; without one the end, the same for all",
    "analysis.reference": "section 2: the dense network that starts from the source's weights",
    "analysis.margin": "not in the paper: a difference that would not matter",
}

_OPEN_VANSOELEN: dict[str, str] = {
    "training.optimizer": "the paper calls it traditional, and names neither momentum nor weight decay",
    "training.length": "not stated",
    "training.augment": "not stated",
    "training.precision": "not stated",
    "dense": "dense networks differ from row to row of the paper's tables",
    "analysis.margin": "not in the paper: a difference that would not matter",
}


def settings_of_the_paper(paper: str, models: Set[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """By field of the grid: what the paper has (a tuple holds alternatives), and why what it leaves open is as it is.

    Of several experiments with settings of their own, those of the only one of `models` there is; `paper` is one of
    TITLES, or "none".
    """
    alone = next(iter(models)) if len(models) == 1 else ""
    if paper == "morcos2019":
        return _MORCOS | {"vgg19": _VGG19, "resnet50": _RESNET50}.get(alone, _EITHER), _OPEN_MORCOS
    if paper == "frankle2018":
        return {"lenet": _LENET, "perceptron": _XOR}.get(alone, {}), _OPEN_FRANKLE
    if paper == "mehta2019":
        return _MEHTA | {"resnet18": _MEHTA_RESNET18, "vgg19": _MEHTA_VGG19}.get(alone, {}), _OPEN_MEHTA
    if paper == "vansoelen2019":
        return _VANSOELEN, _OPEN_VANSOELEN
    return {}, {}
