"""Tickets beside the dense network: the paired t-tests of Van Soelen & Sheppard 2019, Tables II and III."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.experiment.evaluations import dense_draw
from pipeline.experiment.spec import DENSE
from pipeline.report.analysis.over_seeds import by_seed
from pipeline.report.analysis.paired import in_grid_order, paired, remarks, rows_at, unit_of
from pipeline.report.analysis.pairings import NONE
from pipeline.report.analysis.paper_values import is_of
from pipeline.report.findings import Findings, Table
from pipeline.report.rows import columns, rows_of, table_of
from pipeline.report.sections.section import Fragment, Screen, Section
from pipeline.report.wording import interval, listed, p_value, percent_left, points, shown

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as RichTable

    from pipeline.experiment.spec import Spec
    from pipeline.experiment.spec_analysis import PublishedTest

POINT = ["source", "target", "ticket", "round"]
PUBLISHED = ["mean", "std", "dense_mean", "dense_std", "t", "p", "n"]
TYPES = columns(
    "source, target, ticket: string; round: Int64; remaining: float64; unit: string; n, dense_draw: Int64; mean, std, "
    "dense_mean, dense_std, difference, difference_std, low, high, t, p, p_holm: float64; tests: Int64; effect, "
    "published_mean, published_std, published_dense_mean, published_dense_std, published_t, published_p: float64; "
    "published_n: Int64; remark: string"
)
NO_POINT = "no such point"


def beside_dense(results: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """One row for each (source, target, ticket, round) with a round above 0, in the grid's order.

    The dense network of a row is the one of its target; where the grid repeats it (`dense: repeated`), the draw that is
    of the row's ticket and round, whatever its source: `dense_draw`. `remaining`: weights, in [0, 1]. `n`: pairs, each
    a `unit` (`unit_of`) with a result of both. Over these, of test accuracy in [0, 1]: `mean` and `std` (ddof = 1) of
    the ticket, `dense_mean` and `dense_std` (where there is no pair: each over what it has), `difference` (ticket
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
    tests = beside.columns(rows.groupby("ticket", sort=False).ngroup())
    without = np.where(np.equal(dense, NONE), "the grid trains no dense network for it", "").astype(object)
    unit = unit_of(spec)
    table = rows.assign(
        **tests,
        difference_std=beside.difference_std,
        remaining=rows["survivors"] / rows["total"],
        unit=unit,
        dense_draw=pd.array(draws, dtype="Int64"),
        mean=beside.mean,
        dense_mean=beside.other_mean,
        dense_std=beside.other_std,
        remark=remarks(beside, without, "the dense network", unit),
    ).assign(std=beside.std)
    return _with_published(table, spec)


def _dense_of(rows: pd.DataFrame, points: pd.DataFrame, kinds: list[str]) -> tuple[list[int | None], list[int]]:
    """Of each row the draw of its dense network and its place in `points`, where the draw stands as the round."""
    dense = points[points["ticket"] == DENSE]
    places = {(row.target, row.round): row.index for row in rows_of(dense)}
    drawn = dense.groupby("target")["round"].agg(list)
    evaluated = rows.groupby("target")["round"].agg(set)
    draws: list[int | None] = []
    for row in rows_of(rows):
        there = drawn.get(row.target, [])
        draw = there[0] if len(there) == 1 else dense_draw(kinds, evaluated[row.target], row.ticket, row.round)
        draws.append(draw if draw in there else None)
    return draws, [places.get((row.target, draw), NONE) for row, draw in zip(rows_of(rows), draws, strict=True)]


def _with_published(table: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """The paper's tests beside those of ours that they are of; the others at the end."""
    tests = spec.analysis.published.tests if spec.analysis.published else ()
    of_row = [next((test for test in tests if is_of(test, row)), None) for row in rows_of(table)]
    for name in PUBLISHED:
        table[f"published_{name}"] = [None if test is None else getattr(test, name) for test in of_row]
    alone = [_alone(test) for test in tests if test not in of_row]
    whole = [table.reindex(columns=list(TYPES)).astype(TYPES)]
    whole += [table_of(alone, TYPES)] if alone else []
    return pd.concat(whole, ignore_index=True)


def _alone(test: PublishedTest) -> dict[str, Any]:
    names = {name: getattr(test, name) for name in POINT}
    return {**names, **{f"published_{name}": getattr(test, name) for name in PUBLISHED}, "remark": NO_POINT}


PAPER = "the paper"
SHOWN = 200
"""Rows of the page's table; of more, the files have the rest."""
LONGEST = 60
"""Rows of all tables of the terminal together."""
BESIDE_DENSE = Table("beside_dense", lambda findings: beside_dense(findings.results, findings.spec))


def beside_dense_rows(table: pd.DataFrame) -> list[SimpleNamespace]:
    """The rows of the table `beside_dense` as text, empty where there is no number; `paper`: the paper's row, or None.

    Means are in percent, with ±1 std, differences in points; the paper's t is without its sign.
    """
    return [
        SimpleNamespace(
            **{name: shown(getattr(row, name)) for name in (*POINT, "n")},
            left=shown(row.remaining, percent_left),
            mean=_spread(row.mean, row.std),
            dense=_spread(row.dense_mean, row.dense_std),
            difference=shown(row.difference, points),
            interval="" if pd.isna(row.low) else interval(row),
            t=shown(row.t, "{:.2f}".format),
            p=shown(row.p, p_value),
            p_holm=shown(row.p_holm, p_value),
            effect=shown(row.effect, "{:.2f}".format),
            remark=row.remark,
            paper=None if pd.isna(row.published_mean) else _paper(row),
        )
        for row in rows_of(table)
    ]


def about_beside_dense(table: pd.DataFrame, of: str) -> list[str]:
    """Sentences that belong under the table: which tests are corrected together, and which share their dense runs.

    `of`: where the paper's numbers are, empty where the grid gives no tests of one.
    """
    ours = table[table["n"].notna()]
    families = [f"{row.tests} of {row.ticket}" for row in rows_of(ours.drop_duplicates("ticket")) if row.tests]
    sentences = [
        f"p (Holm) is corrected over all tests of the table of one kind of ticket: {listed(families)}."
        if families
        else "Nothing can be tested: the remarks say why.",
        *_shared(ours),
    ]
    if of:
        sentences.append(
            f"{PAPER[0].upper()}{PAPER[1:]}: {of}. Its t is shown without a sign, as papers differ in what they "
            "subtract; ours is of ticket minus dense."
        )
    return sentences


def _shared(ours: pd.DataFrame) -> list[str]:
    """What rows that have the same dense runs mean for their tests."""
    used = ours.dropna(subset="dense_draw").groupby(["target", "dense_draw"]).size()
    if used.empty:
        return []
    if used.max() == 1:
        return ["Each row has dense runs of its own, trained for it alone."] * (len(used) > 1)
    repeated = used.groupby("target").size().max() > 1
    whose = (
        "Sources share the dense runs of a ticket and round" if repeated else "Rows of a target share its dense runs"
    )
    return [
        f"{whose}, so that these rows stand and fall together: dense runs that happen to be good or bad move all their "
        "differences the same way. Each test by itself, and Holm's correction, hold all the same; but they are no "
        "independent confirmations of one another."
    ]


def _paper(row: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(
        n=shown(row.published_n),
        mean=_spread(row.published_mean, row.published_std),
        dense=_spread(row.published_dense_mean, row.published_dense_std),
        difference=points(row.published_mean - row.published_dense_mean),
        t=shown(abs(row.published_t), "{:.2f}".format),
        p=p_value(row.published_p),
    )


def _spread(mean: float, std: float) -> str:
    return shown(100 * mean, "{:.2f}".format) + shown(100 * std, " ± {:.2f}".format)


def _page(findings: Findings) -> Fragment:
    """Without a table where there is neither a dense network nor a paper's test."""
    table = findings.of(BESIDE_DENSE)
    # a row that the paper has is never left out
    shown = table[(table.index < SHOWN) | table["published_n"].notna()]
    values = {
        "known": bool((table["dense_draw"].notna() | (table["remark"] == NO_POINT)).any()),
        "rows": beside_dense_rows(shown),
        "more": len(table) - len(shown),
        "notes": about_beside_dense(table, _source_of_tests(findings)),
        "unit": unit_of(findings.spec),
    }
    return Fragment(values)


def _source_of_tests(findings: Findings) -> str:
    """Where the paper has its tests; empty where the grid gives none."""
    published = findings.spec.analysis.published
    return published.of if published is not None and published.tests else ""


def _lines(findings: Findings, screen: Screen) -> Iterator[RenderableType]:
    """Where the grid gives a paper's tests, a table for each source and target, the paper's rows beneath ours."""
    from rich.text import Text

    if not (of := _source_of_tests(findings)):
        return
    rows = beside_dense_rows(findings.of(BESIDE_DENSE))
    if len(rows) > LONGEST:
        long = f"{len(rows):,} rows, too many for a terminal; the report has them."
        yield Text(f"Tickets beside the dense network: {long}")
        return
    for pair in dict.fromkeys((row.source, row.target) for row in rows):
        yield _table([row for row in rows if (row.source, row.target) == pair], screen)
    yield from map(Text, about_beside_dense(findings.of(BESIDE_DENSE), of))


def _table(rows: list[SimpleNamespace], screen: Screen) -> RichTable:
    from rich.table import Table as RichTable

    where = f"{rows[0].source or 'any source'} -> {rows[0].target or 'any target'}"
    title = f"Tickets beside the dense network, {where} (test accuracy in %, ± std; difference with 95 % interval)"
    table = RichTable(title=title, box=screen.style, title_justify="left", pad_edge=False)
    table.add_column("ticket\nleft", overflow="fold")
    for heading in ("n", "ticket", "dense", "difference", "t", "p\n(Holm)"):
        table.add_column(heading, justify="right", no_wrap=heading == "n")
    for row in rows:
        name = f"{row.ticket}\n{row.left or f'round {row.round}'}"
        test = [f"{row.difference}\n{row.interval}", row.t, f"{row.p}\n({row.p_holm})"]
        if row.remark:
            test = [f"{row.difference}\n{row.remark}".strip(), "", ""]
        table.add_row(name, row.n, row.mean, row.dense, *test)
        if row.paper:
            table.add_row(PAPER, *(getattr(row.paper, name) for name in ("n", "mean", "dense", "difference", "t", "p")))
    return table


SECTION = Section(
    "beside_dense",
    "Beside dense",
    "Tickets beside the dense network",
    _page,
    computed=(BESIDE_DENSE,),
    lines=_lines,
)
