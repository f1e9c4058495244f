"""Which weights that are no linear or convolutional layer's masks cover; what is said of those that masks do not cover,
and of those that masks cover in vain."""

import math
from collections.abc import Sequence

from pipeline.experiment.layer_names import names_layer
from pipeline.experiment.models import Described
from pipeline.experiment.suggestions import did_you_mean
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.model_base import Layers

NAMES = 5
"""So many of them are named in a sentence."""


def included_in(include: Sequence[str] | None, model: Described) -> Layers:
    """Those of the model's `unmasked` parameters that `prune.include` names. Raises UnfitError for a name of none."""
    names = [name for name, _ in model.unmasked]
    for index, pattern in enumerate(include or ()):
        if not any(names_layer(pattern, name) for name in names):
            anyway = any(names_layer(pattern, name) for name, _ in model.layers[:-1])
            hint = did_you_mean(pattern, names) if names else f" {model.name} has none."
            raise UnfitError(
                f"there is no parameter {pattern!r} of two or more dimensions, besides the weights of linear and "
                f"convolutional layers and the output layer.{' It is pruned anyway.' if anyway else hint}",
                "include",
                index,
            )
    patterns = include or ()
    return tuple(weight for weight in model.unmasked if any(names_layer(pattern, weight[0]) for pattern in patterns))


def about_unmasked(model: Described, included: Sequence[str], pruned: int, total: int) -> str:
    """What a plan and a report say of the weights that no mask covers; empty where there are none.

    `pruned` of `total` counted weights are, in the last round.
    """
    left = {name: math.prod(shape) for name, shape in model.unmasked if name not in included}
    if not left:
        return ""
    every, count = sum(math.prod(shape) for _, shape in (*model.layers, *model.unmasked)), sum(left.values())
    names, more = first_names(list(left))
    return (
        f"{count / every:.0%} of the weights of {model.name} ({count:,} of {every:,}) are in no mask: {names}{more}. "
        f"The last round prunes {pruned / total:.1%} of the others that are counted, which is {pruned / every:.1%} of "
        f"all. To prune them, too: `prune: {{include: [{names}]}}`."
    )


def about_unreached(model: Described, pruned: Sequence[str]) -> str:
    """What a plan and a report say of weights that are `pruned` though nothing trains them; empty if there are none."""
    sizes = {name: math.prod(shape) for name, shape in (*model.layers, *model.unmasked) if name in pruned}
    left = {name: size for name, size in sizes.items() if name in model.unreached}
    if not left:
        return ""
    count, every = sum(left.values()), sum(sizes.values())
    names, more = first_names(list(left))
    return (
        f"{count / every:.0%} of the weights of {model.name} that are counted ({count:,} of {every:,}) have no part in "
        f"its class scores: {names}{more}. (No gradient of the scores of a few random images leads to them.) They are "
        "pruned untrained. Build the model without them (such as aux_logits=False), or leave them out by "
        "`prune: {only: ...}`."
    )


def first_names(names: Sequence[str]) -> tuple[str, str]:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]), more
