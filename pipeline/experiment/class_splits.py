"""The classes of a data set, split at random into groups."""

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from pipeline.experiment.datasets import OwnSplit, Split
from pipeline.lottery.counting import count_of
from pipeline.recipes.errors import UnfitError

SEARCHED = 10_000
"""Splits that are looked for where no two may be the same."""

Groups = tuple[tuple[int, ...], ...]


def part_of(kept: Sequence[int], split: Split) -> list[int]:
    """One group of the split, as plain labels: a split shares its stages with the same classes written out.

    Raises UnfitError where there are not so many groups, or splits.
    """
    if split.groups > len(kept):
        raise UnfitError(
            f"{count_of(len(kept), 'class does', 'classes do')} not make {split.groups} groups.", "split", "groups"
        )
    assert isinstance(split.seed, int), "of one seed: Dataset.of_seed"
    if isinstance(split, OwnSplit):
        return list(_different(tuple(kept), split.groups, split.seed)[split.part])
    return list(_groups(tuple(kept), split.groups, split.seed)[split.part])


def _groups(kept: tuple[int, ...], groups: int, seed: int) -> Groups:
    """The order of hashes is random enough here, and the same wherever the plan is made."""
    order = sorted(kept, key=lambda label: hashlib.sha256(f"split/{seed}/{label}".encode()).digest())
    bounds = [part * len(order) // groups for part in range(groups + 1)]
    return tuple(tuple(sorted(order[begin:end])) for begin, end in pairwise(bounds))


@lru_cache(maxsize=100_000)
def _different(kept: tuple[int, ...], groups: int, seed: int) -> Groups:
    """The split of `seed`, those of smaller seeds passed over: the first one of its kind has the number of its seed."""
    sizes = [len(group) for group in _groups(kept, groups, 0)]
    possible = math.factorial(len(kept)) // math.prod(math.factorial(size) for size in sizes)
    if seed >= min(possible, SEARCHED):
        raise UnfitError(
            f"each seed has a split of its own, and of {len(kept)} classes in {groups} groups seeds 0 to "
            f"{min(possible, SEARCHED) - 1:,} do: the seed {seed:,} has none.",
            "split",
            "seed",
        )
    found: dict[Groups, None] = {}
    attempt = 0
    while len(found) <= seed:
        found[_groups(kept, groups, attempt)] = None
        attempt += 1
    return list(found)[seed]
