"""Levels of pruning that a grid asks for, and the evaluated rounds nearest to them."""

from collections.abc import Iterable

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
