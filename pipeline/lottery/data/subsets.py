"""Which images of a data set are used: classes, halves, n per class; and which of them are held out for validation.

None of these depends on a run's seed: all replicates see the same images. Every class has a permutation of its own,
named by its label in the whole data set, so leaving classes out does not change which images of the others are chosen;
validation images are drawn from one permutation of all, for they keep no shares of classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.lottery.counting import count_of
from pipeline.lottery.data.errors import DataError
from pipeline.lottery.randomness import generator
from pipeline.recipes.datasets import DataSet


def kept_classes(data: DataSet, total: int) -> list[int]:
    """The original labels that are kept, in the order given; the position in this list is the new label.

    Raises DataError.
    """
    kept = list(range(total) if data.classes is None else data.classes)
    unknown = sorted(set(kept) - set(range(total)))
    if unknown or not kept or len(set(kept)) < len(kept):
        raise DataError(f"classes: {kept} must be different labels of 0..{total - 1}, at least one.")
    return kept


def training_indices(labels: Tensor, kept: Sequence[int], data: DataSet) -> Tensor:
    """Indices, ascending, of what `half` and `per_class` leave of each kept class, by the original `labels` [N]."""
    chosen = [_per_class(_half(_places(labels, label), label, data), label, data) for label in kept]
    return torch.cat(chosen).sort().values


def held_out(chosen: Tensor, total: int, data: DataSet) -> tuple[Tensor, Tensor]:
    """`chosen` [N], ascending, of the `total` training images, in two parts, ascending too: to train on, to hold out.

    The first `validation` that are chosen, in one random order of the whole training set: choices that overlap hold
    out the same images first. Raises DataError.
    """
    count = data.validation
    if not count:
        return chosen, chosen[:0]
    if count >= len(chosen):
        raise DataError(f"validation: {count_of(count, 'image')} cannot be held out of {len(chosen):,}.")
    order = torch.randperm(total, generator=generator("validation", data.name))
    drawn = order[torch.isin(order, chosen)]
    return drawn[count:].sort().values, drawn[:count].sort().values


def test_indices(labels: Tensor, kept: Sequence[int]) -> Tensor:
    """Indices, ascending, of all test images of the kept classes: halves and n per class leave the test set whole."""
    return torch.cat([_places(labels, label) for label in kept]).sort().values


def relabelled(labels: Tensor, kept: Sequence[int]) -> Tensor:
    """The position in `kept` of each label; all of them must be kept ones."""
    position = torch.full((max(kept) + 1,), -1)
    position[torch.tensor(kept)] = torch.arange(len(kept))
    return position[labels]


def _places(labels: Tensor, label: int) -> Tensor:
    return (labels == label).nonzero().flatten()


def _half(places: Tensor, label: int, data: DataSet) -> Tensor:
    if data.half is None:
        return places
    shuffled = places[torch.randperm(len(places), generator=generator("half", data.name, label))]
    middle = -(-len(places) // 2)
    return shuffled[:middle] if data.half == "a" else shuffled[middle:]


def _per_class(places: Tensor, label: int, data: DataSet) -> Tensor:
    count = data.per_class
    if count is None:
        return places
    if count > len(places):
        raise DataError(
            f"per_class: {count_of(count, 'image is', 'images are')} asked of class {label}, which has {len(places)}."
        )
    # Sorted first: which images are chosen depends on the set of images, not on how a half was drawn.
    places = places.sort().values
    return places[torch.randperm(len(places), generator=generator("per_class", data.name, label))[:count]]
