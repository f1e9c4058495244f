"""What masks have in common, beside what masks of their sizes have in common by chance."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import combinations
from math import nan, prod
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.report.analysis.packed_masks import Mask, survivors_of

WITHIN = 0.95
"""Share of masks permuted at random whose overlap is within `chance_low` and `chance_high`."""
SPREAD, MARGIN = 8, 40
"""Standard deviations around the mean, and counts beyond them, over which probabilities are summed: all but 1e-12."""
MASKS = ["mask", "other_mask"]
NUMBERS = [
    *["survivors", "other_survivors", "total", "common"],
    *["overlap", "chance", "chance_low", "chance_high", "chance_by_layer"],
]
COLUMNS = ["kind", "source", "other_source", "round", "other_round", "seed", *NUMBERS, *MASKS]
TYPES = {
    **dict.fromkeys(["kind", "source", "other_source", *MASKS], "string"),
    **dict.fromkeys(["round", "other_round", "seed", *NUMBERS[:4]], "int64"),
    **dict.fromkeys(NUMBERS[4:], "float64"),
}

_Numbers = tuple[Any, ...]


def overlap(
    results: pd.DataFrame, read_mask: Callable[[str], Mask | None], known: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row for each pair of masks of equal seed: of two sources at one round, and of a source at successive rounds.

    `kind`: `sources`, or `rounds` (`other_round` is the evaluated round before `round`). `survivors`, `other_survivors`
    and `common` are counts of weights, `total` the prunable ones; `overlap` is common / the smaller of the two, in
    [0, 1]. `chance`: its expectation if one of the masks were permuted over the whole network, `chance_low` and
    `chance_high` the 95 % range of that (hypergeometric); `chance_by_layer`: its expectation if permuted within each
    layer. NaN where a mask is empty. `mask` and `other_mask` are the stages' keys.

    Masks come from `read_mask`, which is given a stage's key; None is a mask that is not there (yet). Two masks are
    compared only if they have the same layers of the same shapes. `known`: an earlier table; pairs in it are not read
    again. Masks of at most two rounds of one seed are held at a time.
    """
    columns = ["seed", "round", "source", "mask"]
    chains = results[results["mask"].notna()].drop_duplicates(["source", "round", "seed"])[columns]
    numbers = _known(known)
    rows: list[list[Any]] = []
    for seed, of_seed in chains.groupby("seed", sort=True):
        read = _Reading(read_mask)
        before: dict[str, _Place] = {}
        for _, of_round in of_seed.groupby("round", sort=True):
            here = [_Place(*values) for values in of_round[["source", "round", "mask"]].itertuples(index=False)]
            pairs = [("sources", first, second) for first, second in combinations(here, 2)]
            pairs += [("rounds", place, before[place.source]) for place in here if place.source in before]
            for kind, first, second in pairs:
                found = numbers.get((first.mask, second.mask)) or _compared(read(first.mask), read(second.mask))
                if found is not None:
                    names = [first.source, second.source, first.round, second.round, seed]
                    rows.append([kind, *names, *found, first.mask, second.mask])
            before |= {place.source: place for place in here}
            read.keep({place.mask for place in before.values()})
    return pd.DataFrame(rows, columns=COLUMNS).astype(TYPES)


class _Place(NamedTuple):
    source: str
    round: int
    mask: str


class _Reading:
    """Masks by stage key, each read once while it is kept."""

    def __init__(self, read_mask: Callable[[str], Mask | None]) -> None:
        self._read = read_mask
        self._held: dict[str, Mask | None] = {}

    def __call__(self, key: str) -> Mask | None:
        if key not in self._held:
            self._held[key] = self._read(key)
        return self._held[key]

    def keep(self, keys: set[str]) -> None:
        """Drop all others."""
        self._held = {key: mask for key, mask in self._held.items() if key in keys}


def _known(table: pd.DataFrame | None) -> dict[tuple[str, str], _Numbers]:
    if table is None or list(table.columns) != COLUMNS:
        return {}
    found: dict[tuple[str, str], _Numbers] = {}
    for mask, other, *numbers in table[[*MASKS, *NUMBERS]].itertuples(index=False):
        found[mask, other] = tuple(numbers)
        found[other, mask] = (numbers[1], numbers[0], *numbers[2:])
    return found


def _compared(mask: Mask | None, other: Mask | None) -> _Numbers | None:
    """The columns NUMBERS of two masks; None where one is not there, or they are of different shapes."""
    if mask is None or other is None or mask.shapes != other.shapes:
        return None
    sizes = {name: prod(shape) for name, shape in mask.shapes.items()}
    kept = {name: survivors_of(bits) for name, bits in mask.bits.items()}
    of_other = {name: survivors_of(bits) for name, bits in other.bits.items()}
    common = sum(survivors_of(bits & other.bits[name]) for name, bits in mask.bits.items())
    survivors, others, total = sum(kept.values()), sum(of_other.values()), sum(sizes.values())
    counts = survivors, others, total, common
    smaller = min(survivors, others)
    if not smaller:
        return *counts, nan, nan, nan, nan, nan
    by_layer = sum(kept[name] * of_other[name] / size for name, size in sizes.items() if size)
    low, high = chance_range(survivors, others, total)
    expected = max(survivors, others) / total
    return *counts, common / smaller, expected, low / smaller, high / smaller, by_layer / smaller


@cache
def chance_range(survivors: int, others: int, total: int) -> tuple[int, int]:
    """The 95 % range of how many weights two masks of these sizes have in common if one is permuted at random.

    As scipy.stats.hypergeom.interval: the smallest counts whose cumulative probability is 0.025 and 0.975 or more.
    scipy.special has no such quantile: the probabilities around the mean are summed.
    """
    least, most = max(0, survivors + others - total), min(survivors, others)
    mean = survivors * others / total
    variance = mean * (1 - survivors / total) * (total - others) / max(total - 1, 1)
    reach = SPREAD * variance**0.5 + MARGIN
    counts = np.arange(max(least, int(mean - reach)), min(most, int(mean + reach) + 1) + 1)
    k = counts[:-1].astype("float64")
    steps = np.log(survivors - k) + np.log(others - k) - np.log(k + 1) - np.log(total - survivors - others + k + 1)
    logarithm = np.concatenate([[0.0], np.cumsum(steps)])
    cumulative = np.cumsum(np.exp(logarithm - logarithm.max()))
    low, high = np.searchsorted(cumulative / cumulative[-1], [(1 - WITHIN) / 2, (1 + WITHIN) / 2])
    return int(counts[low]), int(counts[high])
