"""The one engine of paired comparisons: means, differences, their intervals and tests, and why there is no test."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.experiment.spec import ANY, Spec
from pipeline.experiment.spec_analysis import FEWEST
from pipeline.report.analysis.over_seeds import moments
from pipeline.report.analysis.paired_tests import (
    Floats,
    Marks,
    Whole,
    half_width,
    hedges_g,
    holm,
    t_statistic,
    two_sided,
)

SEED, CLASS_SPLIT = "seed", "class split"


def unit_of(spec: Spec) -> str:
    """What is paired, and n counts; the plural takes an s.

    `class split` where the classes of a data set are split anew for each seed (`split: {seed: each}`), or `seed`.
    """
    return CLASS_SPLIT if spec.differs_by_seed else SEED


@dataclass(frozen=True, slots=True)
class Paired:
    """Rows of `values` minus those of `others`, both [rows, units]; NaN where a unit has no value."""

    values: Floats
    """NaN but where both have one. A row of which no unit has both is as it was given."""
    others: Floats
    n: Whole
    """Units that have both."""
    mean: Floats
    std: Floats
    """ddof = 1, as all of them."""
    other_mean: Floats
    other_std: Floats
    difference: Floats
    difference_std: Floats
    low: Floats
    """95 % t interval of the difference, `low` to `high`; NaN where it is not `testable`."""
    high: Floats
    testable: Marks
    """At least three pairs, whose differences vary."""

    @property
    def spread(self) -> Floats:
        """`difference_std` where it is `testable`, else NaN."""
        return np.where(self.testable, self.difference_std, np.nan)

    @property
    def t(self) -> Floats:
        """Of the two-sided paired t-test; NaN where it is not `testable`, as `p` and `effect`."""
        return t_statistic(self.difference, self.spread, self.n)

    @property
    def p(self) -> Floats:
        """As scipy.stats.ttest_rel gives it."""
        return two_sided(self.t, self.n)

    @property
    def effect(self) -> Floats:
        """Hedges' g of the differences."""
        return hedges_g(self.difference, self.spread, self.n)

    def columns(self, family: pd.Series[int]) -> dict[str, Floats | Whole]:
        """Of a table: the differences, their interval and test; `std` is theirs.

        `p_holm` is `p` after Holm's correction over each family, which `family` numbers, and `tests` how many tests it
        has.
        """
        p_holm, tests = holm(self.p, np.asarray(family, dtype=np.int64))
        differences = {"n": self.n, "difference": self.difference, "std": self.difference_std}
        interval = {"low": self.low, "high": self.high}
        return (
            differences | interval | {"t": self.t, "p": self.p, "p_holm": p_holm, "tests": tests, "effect": self.effect}
        )


def rows_at(values: Floats, places: Iterable[int]) -> Floats:
    """Rows of `values` [rows, units]; NaN for `pairings.NONE`."""
    nothing = np.full((1, values.shape[1]), np.nan)
    rows: Floats = np.vstack([values, nothing])[np.fromiter(places, dtype=np.int64)]
    return rows


def paired(values: Floats, others: Floats) -> Paired:
    """`values` beside `others`, row by row."""
    both = ~np.isnan(values) & ~np.isnan(others)
    kept = both | ~both.any(axis=1, keepdims=True)
    values, others = np.where(kept, values, np.nan), np.where(kept, others, np.nan)
    (_, mean, std), (_, other_mean, other_std) = moments(values), moments(others)
    n, difference, difference_std = moments(np.where(both, values - others, np.nan))
    testable = (n >= FEWEST) & (difference_std > 0)
    half = half_width(np.where(testable, difference_std, np.nan), n)
    low, high = difference - half, difference + half
    numbers = (n, mean, std, other_mean, other_std, difference, difference_std, low, high)
    return Paired(values, others, *numbers, testable)


def remarks(of: Paired, missing: npt.NDArray[np.object_], other: str, unit: str) -> pd.Series[str]:
    """Why a row has no test or interval: the first reason that holds, "" where it has them.

    `missing`: by row, why there is no such other value at all, "" where there is one; `other`: what the values are
    compared with.
    """
    none, without = (np.isnan(numbers).all(axis=1) for numbers in (of.values, of.others))
    few = "n = " + pd.Series(of.n).astype("string") + f": too few {unit}s for a test"
    holds = [missing != "", of.testable, none, without, of.n == 0, of.n < FEWEST]
    words = [
        missing,
        *("", "no result of the ticket yet", f"no result of {other} yet", f"no {unit} has a result of both"),
        few.to_numpy(dtype=object),
    ]
    same = f"every {unit} has the same difference: no variance to test against"
    return pd.Series(np.select(holds, [np.asarray(said, dtype=object) for said in words], same), dtype="string")


def in_grid_order(rows: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """Sorted by source, target and ticket as the grid has them, then by round; source "any" comes last."""
    order = {
        "source": [*(source.name for source in spec.sources), ANY],
        "target": [target.name for target in spec.targets],
        "ticket": [ticket.name for ticket in spec.tickets],
    }
    ranks = {name: rows[name].map({entry: place for place, entry in enumerate(names)}) for name, names in order.items()}
    ranked = pd.DataFrame({**ranks, "round": rows["round"]})
    return rows.loc[ranked.sort_values([*order, "round"], kind="stable").index].reset_index(drop=True)
