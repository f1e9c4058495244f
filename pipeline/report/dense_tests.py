"""Tickets beside the dense network, as the page and the terminal say it: rows of a table, and notes about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.report.wording import interval, listed, p_value, percent_left, points

PAPER = "the paper"


@dataclass(frozen=True, slots=True)
class Paper:
    """The paper's row: percent, points of it; t without its sign."""

    n: str
    mean: str
    dense: str
    difference: str
    t: str
    p: str


@dataclass(frozen=True, slots=True)
class BesideDense:
    """One (source, target, ticket, round); empty where there is no number. Means are in percent, with ±1 std."""

    source: str
    target: str
    ticket: str
    round: str
    left: str
    n: str
    mean: str
    dense: str
    difference: str
    interval: str
    t: str
    p: str
    p_holm: str
    effect: str
    remark: str
    paper: Paper | None


def beside_dense_rows(table: pd.DataFrame) -> list[BesideDense]:
    """A row for each of the table `beside_dense`."""
    return [
        BesideDense(
            source=_text(row.source),
            target=_text(row.target),
            ticket=_text(row.ticket),
            round=_text(row.round),
            left="" if pd.isna(row.remaining) else percent_left(row.remaining),
            n=_text(row.n),
            mean=_spread(row.mean, row.std),
            dense=_spread(row.dense_mean, row.dense_std),
            difference="" if pd.isna(row.difference) else points(row.difference),
            interval="" if pd.isna(row.low) else interval(row),
            t=_number(row.t),
            p="" if pd.isna(row.p) else p_value(row.p),
            p_holm="" if pd.isna(row.p_holm) else p_value(row.p_holm),
            effect=_number(row.effect),
            remark=row.remark,
            paper=_paper(row),
        )
        for row in _rows(table)
    ]


def about_beside_dense(table: pd.DataFrame, of: str) -> list[str]:
    """Sentences that belong under the table: which tests are corrected together, and which share their dense runs.

    `of`: where the paper's numbers are, empty where the grid gives no tests of one.
    """
    ours = table[table["n"].notna()]
    families = [f"{row.tests} of {row.ticket}" for row in _rows(ours.drop_duplicates("ticket")) if row.tests]
    said = [
        f"p (Holm) is corrected over all tests of the table of one kind of ticket: {listed(families)}."
        if families
        else "Nothing can be tested: the remarks say why.",
        *_shared(ours),
    ]
    if of:
        said.append(
            f"{PAPER[0].upper()}{PAPER[1:]}: {of}. Its t is shown without a sign, as papers differ in what they "
            "subtract; ours is of ticket minus dense."
        )
    return said


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


def _paper(row: Any) -> Paper | None:
    if pd.isna(row.published_mean):
        return None
    return Paper(
        n=_text(row.published_n),
        mean=_spread(row.published_mean, row.published_std),
        dense=_spread(row.published_dense_mean, row.published_dense_std),
        difference=points(row.published_mean - row.published_dense_mean),
        t=_number(abs(row.published_t)),
        p=p_value(row.published_p),
    )


def _spread(mean: float, std: float) -> str:
    if pd.isna(mean):
        return ""
    return f"{100 * mean:.2f}" + ("" if pd.isna(std) else f" ± {100 * std:.2f}")


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.2f}"


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _rows(table: pd.DataFrame) -> Iterable[Any]:
    return table.itertuples()
