"""How far a ticket can be pruned before it is worse than the dense network by more than the margin."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.report.charts.matrices import SIGNIFICANT, named, sides
from pipeline.report.findings import Findings
from pipeline.report.wording import p_equals, percent_left, points


@dataclass(frozen=True, slots=True)
class Reach:
    """One cell. `left`: of the most pruned level that holds, None where none does; `strength`: of its colour."""

    text: str
    why: str
    left: float | None
    strength: float


@dataclass(frozen=True, slots=True)
class HowFar:
    """A source x target table of one kind of winning ticket."""

    ticket: str
    targets: list[str]
    rows: list[tuple[str, list[Reach | None]]]


def how_far(findings: Findings) -> list[HowFar]:
    """A table for each winning kind that was compared with the dense network."""
    rows = findings.comparisons
    rows = rows[(rows["comparison"] == "dense") & (rows["left"] < 1)].sort_values("left", ascending=False)
    tables = []
    for ticket, of_kind in rows.groupby("ticket", sort=False):
        sources, targets = sides(findings, of_kind)
        pairs: dict[tuple[str, str], list[Any]] = {}
        for row in of_kind.itertuples():
            pairs.setdefault((str(row.source), str(row.target)), []).append(row)
        cells = {key: reach(pair) for key, pair in pairs.items()}
        headings = named(findings.results, "source", sources)
        body = [
            (heading, [cells.get((source, target)) for target in targets])
            for heading, source in zip(headings, sources, strict=True)
        ]
        tables.append(HowFar(str(ticket), named(findings.results, "target", targets), body))
    return tables


def reach(pair: Iterable[Any]) -> Reach:
    """How far one ticket reaches. `pair`: rows of its comparisons with the dense network, the least pruned first.

    A level holds where the one-sided test says that the ticket is not worse by the margin; one that cannot be tested
    does not (`comparisons.reach` is the same for all tickets at once, without the reasons).
    """
    held: Any = None
    for row in pair:
        tested = row.p_noninferior == row.p_noninferior
        if not (tested and row.p_noninferior < SIGNIFICANT):
            return _stopped(held, row, tested)
        held = row
    return Reach(percent_left(held.left), "every level that was evaluated holds", held.left, _depth(held.left))


def _stopped(held: Any, row: Any, tested: bool) -> Reach:
    if tested:
        why = f"at {percent_left(row.left)} not shown: {points(row.difference)} points, {p_equals(row.p_noninferior)}"
    else:
        why = f"at {percent_left(row.left)} not tested: {row.remark}"
    if held is None:
        return Reach("none" if tested else "no test", why, None, 0.0)
    return Reach(percent_left(held.left), why, held.left, _depth(held.left))


def _depth(left: float) -> float:
    """How strongly a cell is coloured: 1 where a thousandth of the weights is enough."""
    return min(1.0, -math.log10(left) / 3) if left > 0 else 1.0
