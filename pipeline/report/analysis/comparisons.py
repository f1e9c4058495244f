"""Paired comparisons: winning tickets beside controls, beside those of the target's own source, beside dense networks.

Seeds are paired; the unit is the seed. Nothing is dropped: what cannot be tested has a row that says why.
"""

import math

import pandas as pd

from pipeline.experiment.spec import Spec
from pipeline.report.analysis.levels import level_of
from pipeline.report.analysis.over_seeds import CURVE, by_seed
from pipeline.report.analysis.paired import paired, remarks, rows_at
from pipeline.report.analysis.paired_tests import SIGNIFICANT, equivalence, noninferiority
from pipeline.report.analysis.pairings import NONE, Pairing, pairings
from pipeline.report.findings import Computed, Table

FAMILY = ["comparison", "ticket", "reference", "left"]
"""Tests of one family are corrected together: all sources and targets at one level."""
PAIR = ["source", "target", "ticket"]
COLUMNS = [
    *["comparison", *CURVE, "reference", "reference_source", "round", "fraction_pruned", "left", "survivors"],
    *["n", "difference", "std", "low", "high", "t", "p", "p_holm", "tests", "effect"],
    *["margin", "p_equivalence", "equivalent", "p_noninferior", "remark"],
]


def comparisons(results: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """One row for every (comparison, source, target, ticket, reference, level): a count of rows is one of transfers.

    Of several rounds of one curve at one level the first is compared. The later ones are left out: their tickets have
    as many weights left, such as the last rounds of a small network, in which less than half a weight is to be pruned.

    `comparison`: `control` (a winning kind minus each control, with equally many survivors), `transfer` (a transferred
    ticket minus the same kind of the target's own source at the same level, whatever its round there) or `dense` (minus
    the dense network of the target; no rows where the grid trains none). Of several sources of a target's own, which
    differ in how they prune, the reference is the first in the grid's order that prunes as the transferred ticket's
    source, otherwise the first. `reference_source` is NA for a target without a source of its own.

    `left`: weights remaining, the level (`level_of`). `n`: seeds that both have. `difference` (mean, in
    accuracy, [-1, 1]) and `std` (ddof = 1) of the paired differences, `low` and `high` their 95 % t interval, `t` and
    `p` the two-sided paired t-test (scipy.stats.ttest_rel). `p_holm`: Holm-corrected over the family (same comparison,
    ticket, reference and level), which has `tests` members. `effect`: Hedges' g of the differences. `p_equivalence`:
    two one-sided tests within +-`margin` (`analysis.margin`), and `equivalent` where it is below 0.05;
    `p_noninferior`: one-sided, that the ticket is not worse by the margin; neither is corrected. `remark`: why there is
    no test ("" where there is one).
    """
    seeds = by_seed(results, results["test_accuracy"])
    points = seeds.points.assign(left=level_of(seeds.points))
    pairs = pd.DataFrame(pairings(points, spec), columns=Pairing._fields)
    # what is unfit stands beside nothing
    others = pairs["other"].where(pairs["remark"] == "", NONE)
    beside = paired(rows_at(seeds.values, pairs["place"]), rows_at(seeds.values, others))
    margin = spec.analysis.margin
    tested = beside.difference, beside.spread, beside.n, margin
    table = points.iloc[pairs["place"].to_numpy(dtype="int64")].reset_index(drop=True)
    table = table.assign(
        **{name: pairs[name].astype("string") for name in ("comparison", "reference", "reference_source")},
        margin=margin,
        p_equivalence=equivalence(*tested),
        p_noninferior=noninferiority(*tested),
        remark=remarks(beside, pairs["remark"].to_numpy(dtype=object), "the reference", "seed"),
    )
    columns = beside.columns(table.groupby(FAMILY, sort=False).ngroup())
    equivalent = (table["p_equivalence"] < SIGNIFICANT).astype("boolean").mask(~beside.testable)
    return table.assign(**columns, equivalent=equivalent).reindex(columns=COLUMNS)


def levels(compared: pd.DataFrame) -> list[float]:
    """The levels of a table of comparisons: weights remaining, in [0, 1], descending."""
    return sorted(map(float, compared["left"].unique()), reverse=True)


def chosen_level(compared: pd.DataFrame, fraction_pruned: float | None) -> float | None:
    """The level at which matrices are read; None where there is nothing to compare.

    That nearest to 1 - `fraction_pruned` on a log scale, the less pruned of two. None asked: the most pruned one at
    which every source has results, else the most pruned one that has any (while there are none: at which every source
    is compared, else the most pruned one). A network without weights is chosen only where there is no other.
    """
    every = levels(compared)
    if not every or every[0] == 0:
        return every[0] if every else None
    if fraction_pruned is not None:
        wanted = math.log(1 - fraction_pruned)
        return min(filter(None, every), key=lambda level: abs(math.log(level) - wanted))
    measured = compared[(compared["n"] > 0) & (compared["left"] > 0)]
    having = measured if len(measured) else compared[compared["left"] > 0]
    sources = having.groupby("left")["source"].nunique()
    shared = sources.index[sources == having["source"].nunique()]
    return float(min(shared if len(shared) else sources.index))


COMPARISONS = Table("comparisons", lambda findings: comparisons(findings.results, findings.spec))
LEVEL = Computed(
    "level", lambda findings: chosen_level(findings.of(COMPARISONS), findings.spec.analysis.fraction_pruned)
)
"""The one that the report speaks of."""


def at_level(compared: pd.DataFrame, level: float | None) -> pd.DataFrame:
    """The rows at a level; none where `level` is None."""
    return compared[compared["left"] == level] if level is not None else compared.iloc[:0]


def reach(dense: pd.DataFrame) -> pd.DataFrame:
    """How far each ticket can be pruned: `source`, `target`, `ticket`, `left`, `tested` (levels that could be tested).

    `dense`: comparisons with the dense network. `left`: the most pruned level at which the ticket is non-inferior to it
    by the margin (p < 0.05) at this and at every less pruned level evaluated; NaN where it is at none. What cannot be
    tested is not shown. Round 0 is passed over: nothing is pruned, and the ticket may be the dense network itself.
    """
    ordered = dense[dense["left"] < 1].sort_values("left", ascending=False, kind="stable")
    # from the least pruned level on: False from the first level at which it is not shown
    shown = (ordered["p_noninferior"] < SIGNIFICANT).astype("int64")
    held = shown.groupby([ordered[name] for name in PAIR], sort=False).cummin() == 1
    most = ordered[held].groupby(PAIR, sort=False)["left"].min().rename("left")
    tested = ordered["p_noninferior"].notna().groupby([ordered[name] for name in PAIR], sort=False).sum()
    numbers = pd.concat([most, tested.rename("tested")], axis=1).reset_index()
    return dense[PAIR].drop_duplicates().merge(numbers, on=PAIR, how="left")
