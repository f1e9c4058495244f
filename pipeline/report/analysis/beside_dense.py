"""Tickets beside the dense network: the paired t-tests of Van Soelen & Sheppard 2019, Tables II and III."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.experiment.evaluations import dense_draw
from pipeline.experiment.spec import DENSE
from pipeline.report.analysis.paired import in_grid_order, paired, remarks, rows_at
from pipeline.report.analysis.pairings import NONE
from pipeline.report.analysis.published import is_of
from pipeline.report.analysis.statistics import by_seed
from pipeline.report.unit import unit_of

if TYPE_CHECKING:
    from pipeline.experiment.spec import Spec
    from pipeline.experiment.spec_analysis import PublishedTest

POINT = ["source", "target", "ticket", "round"]
PUBLISHED = ["mean", "std", "dense_mean", "dense_std", "t", "p", "n"]
NUMBERS = [
    *["mean", "std", "dense_mean", "dense_std", "difference", "difference_std"],
    *["low", "high", "t", "p", "p_holm", "effect"],
]
COLUMNS = [
    *[*POINT, "remaining", "unit", "n", "dense_draw", *NUMBERS[:10], "p_holm", "tests", "effect"],
    *[f"published_{name}" for name in PUBLISHED],
    "remark",
]
TYPES = {
    **dict.fromkeys(["source", "target", "ticket", "unit", "remark"], "string"),
    **dict.fromkeys(["round", "n", "dense_draw", "tests", "published_n"], "Int64"),
    **dict.fromkeys(["remaining", *NUMBERS, *[f"published_{name}" for name in PUBLISHED[:-1]]], "float64"),
}
NO_POINT = "no such point"


def beside_dense(results: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """One row for each (source, target, ticket, round) with a round above 0, in the grid's order.

    The dense network of a row is the one of its target; where the grid repeats it (`dense: repeated`), the draw that is
    of the row's ticket and round, whatever its source: `dense_draw`. `remaining`: weights, in [0, 1]. `n`: pairs, each
    a `unit` (`unit.unit_of`) with a result of both. Over these, of test accuracy in [0, 1]: `mean` and `std` (ddof = 1)
    of the ticket, `dense_mean` and `dense_std` (where there is no pair: each over what it has), `difference` (ticket
    minus dense), its `difference_std` and 95 % t interval, `low` to `high`; `t` and `p` of the two-sided paired t-test
    (scipy.stats.ttest_rel); `p_holm`: Holm-corrected over the family, all rows of a kind of ticket, of which `tests`
    are tests; `effect`: Hedges' g of the differences. Several draws of a control are averaged within a unit.

    `published_*`: the row of the paper that the grid gives for it (`analysis.published.tests`), as given. One that is
    of no row has a row of its own at the end. `remark`: why there is no test, "" where there is one.
    """
    is_dense = (results["ticket"] == DENSE).astype(bool)
    # the draws of a dense network side by side, not averaged
    runs = results.assign(round=results["round"].where(~is_dense, results["draw"]))
    seeds = by_seed(runs, runs["test_accuracy"])
    pruned = seeds.points[(seeds.points["round"] > 0) & (seeds.points["ticket"] != DENSE)]
    rows = in_grid_order(pruned.assign(place=pruned.index), spec)
    draws, dense = _dense_of(rows, seeds.points, [ticket.name for ticket in spec.tickets])
    beside = paired(rows_at(seeds.values, rows["place"]), rows_at(seeds.values, dense))
    p_holm, tests = beside.corrected(rows.groupby("ticket", sort=False).ngroup())
    without = np.where(np.equal(dense, NONE), "the grid trains no dense network for it", "").astype(object)
    unit = unit_of(spec)
    table = rows.assign(
        remaining=rows["survivors"] / rows["total"],
        unit=unit,
        n=beside.n,
        dense_draw=pd.array(draws, dtype="Int64"),
        mean=beside.mean,
        std=beside.std,
        dense_mean=beside.other_mean,
        dense_std=beside.other_std,
        difference=beside.difference,
        difference_std=beside.difference_std,
        low=beside.low,
        high=beside.high,
        t=beside.t,
        p=beside.p,
        p_holm=p_holm,
        tests=tests,
        effect=beside.effect,
        remark=remarks(beside, without, "the dense network", unit),
    )
    return _with_published(table, spec)


def _dense_of(rows: pd.DataFrame, points: pd.DataFrame, kinds: list[str]) -> tuple[list[int | None], list[int]]:
    """Of each row the draw of its dense network and its place in `points`, where the draw stands as the round."""
    dense = points[points["ticket"] == DENSE]
    places = {(row.target, row.round): row.Index for row in _rows(dense)}
    drawn = dense.groupby("target")["round"].agg(list)
    evaluated = rows.groupby("target")["round"].agg(set)
    draws: list[int | None] = []
    for row in _rows(rows):
        there = drawn.get(row.target, [])
        draw = there[0] if len(there) == 1 else dense_draw(kinds, evaluated[row.target], row.ticket, row.round)
        draws.append(draw if draw in there else None)
    return draws, [places.get((row.target, draw), NONE) for row, draw in zip(_rows(rows), draws, strict=True)]


def _with_published(table: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """The paper's tests beside those of ours that they are of; the others at the end."""
    tests = spec.analysis.published.tests if spec.analysis.published else ()
    of_row = [next((test for test in tests if is_of(test, row)), None) for row in _rows(table)]
    for name in PUBLISHED:
        table[f"published_{name}"] = [None if test is None else getattr(test, name) for test in of_row]
    alone = [_alone(test) for test in tests if test not in of_row]
    whole = [table.reindex(columns=COLUMNS).astype(TYPES)]
    whole += [pd.DataFrame(alone, columns=COLUMNS).astype(TYPES)] if alone else []
    return pd.concat(whole, ignore_index=True)


def _alone(test: PublishedTest) -> dict[str, Any]:
    names = {name: getattr(test, name) for name in POINT}
    return {**names, **{f"published_{name}": getattr(test, name) for name in PUBLISHED}, "remark": NO_POINT}


def _rows(table: pd.DataFrame) -> Iterable[Any]:
    return table.itertuples()
