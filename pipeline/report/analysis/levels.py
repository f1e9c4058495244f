"""Levels of pruning: those that the rounds of an experiment are at, and the nearest to those asked for."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

SAME_LEVEL = 0.005
"""Relative difference up to which numbers of weights remaining are one level: chains round at different places."""
AWAY = 0.1
"""Relative distance from which on a level is another one than was asked for, which the report then says."""


def nearest_levels(asked: Iterable[float], there: Iterable[float]) -> dict[float, float]:
    """For each level asked for (weights remaining, in (0, 1]) the one of `there` that is nearest, relative to it.

    Of two that are equally near, the one with more weights. Empty where none is there.
    """
    levels = sorted(there, reverse=True)
    return {wish: min(levels, key=lambda level: abs(level - wish) / wish) for wish in asked} if levels else {}


def is_far(asked: float, found: float) -> bool:
    """Whether `found` is more than a tenth away from what was asked for."""
    return abs(found - asked) > AWAY * asked


def level_of(table: pd.DataFrame) -> "pd.Series[float]":
    """The level of each row: weights remaining, in [0, 1], from its `fraction_pruned`, to 3 significant digits.

    Chains that prune to within a few weights of one another are at one level: it takes in all weights remaining that
    are within 0.5 % of its largest, which names it (in a fourth digit where three would name two levels alike). So a
    row's level depends on which others there are: give a whole table (`results`, `curves` or points of one experiment
    have the same levels) and filter afterwards. The order of rows does not matter.
    """
    codes, remaining = pd.factorize(1 - table["fraction_pruned"])
    largest = np.empty(len(remaining), dtype="float64")
    current = np.inf
    for place in np.argsort(-remaining):
        if remaining[place] < (1 - SAME_LEVEL) * current:
            current = remaining[place]
        largest[place] = current
    names: dict[str, set[float]] = {}
    for fraction in largest:
        names.setdefault(f"{fraction:.3g}", set()).add(float(fraction))
    # levels are 0.5 % apart: a fourth digit tells all of them
    spelled = [f"{value:.{3 if len(names[f'{value:.3g}']) == 1 else 4}g}" for value in largest]
    rounded = np.array(spelled, dtype="float64")
    return pd.Series(rounded[codes] if len(rounded) else np.empty(0), index=table.index, dtype="float64")
