"""Networks that succeed, as the page and the terminal say it: rows of a table, and an answer in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.experiment.spec import DENSE
from pipeline.report.analysis.networks import METRICS, POINT
from pipeline.report.wording import listed

SPELLED_OUT = 12
"""Rows that the sentence names."""
TITLES = dict(zip(METRICS, ("decision boundary", "no point wrong", "zero loss"), strict=True))


@dataclass(frozen=True, slots=True)
class Told:
    """One metric of a row, in percent and points of it; empty where there is none. Intervals are of 95 %."""

    share: str
    interval: str
    both: str
    both_interval: str
    paper: str
    inside: bool | None
    """Whether the paper's share is in our interval; None without one."""
    difference: str
    difference_interval: str


@dataclass(frozen=True, slots=True)
class Success:
    """One (target, source, ticket, round, draw)."""

    target: str
    source: str
    ticket: str
    round: int
    hidden: str
    n: int
    of: Mapping[str, Told]
    """By metric."""


def success_rows(networks: pd.DataFrame) -> list[Success]:
    """A row for each point of the table `networks`."""
    rows = []
    for _, of_point in networks.groupby(POINT, sort=False):
        of_metric = {str(row.metric): _told(row) for row in _rows(of_point)}
        first = next(iter(_rows(of_point)))
        hidden = "" if pd.isna(first.hidden) else str(first.hidden)
        ticket = f"{first.ticket}, draw {first.draw + 1}" if first.draw else first.ticket
        rows.append(Success(first.target, first.source, ticket, first.round, hidden, first.n, of_metric))
    return rows


def how_many_succeed(networks: pd.DataFrame) -> list[str]:
    """One sentence: of each target the dense networks, and the most pruned ticket of each source.

    Tickets whose dense networks have no result yet are left out.
    """
    if networks.empty:
        return []
    last = networks.groupby(POINT[:3], sort=False)["round"].transform("max")
    known = networks["both"].notna() | (networks["round"] == 0)
    rows = success_rows(networks[(networks["round"] == last) & known])
    clauses = []
    for target in dict.fromkeys(row.target for row in rows[:SPELLED_OUT]):
        of_target = [_clause(row) for row in rows[:SPELLED_OUT] if row.target == target]
        clauses.append(f"on {target} {listed(of_target)}")
    more = f"; the table has {len(rows) - SPELLED_OUT} more" if len(rows) > SPELLED_OUT else ""
    about = (
        "found the decision boundary, had no point on the wrong side of it, reached zero loss; of pruned tickets those "
        "whose dense network did, too"
    )
    said = f"{'; '.join(clauses)} ({about}){more}."
    return [f"How many networks succeed? {said[0].upper()}{said[1:]}"]


def is_all(networks: pd.DataFrame, compared: pd.DataFrame) -> bool:
    """Whether networks that succeed are all that the grid can say: no comparison over seeds can be tested."""
    return not networks.empty and not (compared["remark"] == "").any()


def _clause(row: Success) -> str:
    whose = "dense networks" if row.ticket == DENSE else f"{row.ticket} tickets of {row.source}"
    units = f" with {row.hidden} hidden units" if row.hidden else ""
    return f"{listed([told.both or told.share for told in row.of.values()])} % of {row.n:,} {whose}{units}"


def _told(row: Any) -> Told:
    return Told(
        share=_percent(row.share),
        interval=_between(row.low, row.high),
        both=_percent(row.both_share),
        both_interval=_between(row.both_low, row.both_high),
        paper=_percent(row.published),
        inside=None if pd.isna(row.inside) else bool(row.inside),
        difference=_percent(row.difference, "+"),
        difference_interval=_between(row.difference_low, row.difference_high, "+"),
    )


def _percent(share: float, sign: str = "") -> str:
    return "" if pd.isna(share) else f"{100 * share:{sign}.1f}"


def _between(low: float, high: float, sign: str = "") -> str:
    return "" if pd.isna(low) else f"{_percent(low, sign)} to {_percent(high, sign)}"


def _rows(table: pd.DataFrame) -> Iterable[Any]:
    return table.itertuples()
