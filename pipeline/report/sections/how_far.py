"""How far a ticket can be pruned before it is worse than the dense network by more than the margin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from pipeline.report.analysis.comparisons import COMPARISONS, reach
from pipeline.report.findings import Findings
from pipeline.report.rows import rows_of
from pipeline.report.sections.matrices import named, sides
from pipeline.report.sections.section import Fragment, Section
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
    rows = findings.of(COMPARISONS)
    rows = rows[(rows["comparison"] == "dense") & (rows["left"] < 1)].sort_values("left", ascending=False)
    of_pair: dict[tuple[str, str, str], list[Any]] = {}
    for row in rows_of(rows):
        of_pair.setdefault((row.source, row.target, row.ticket), []).append(row)
    tables = []
    for ticket, far in reach(rows).groupby("ticket", sort=False):
        sources, targets = sides(findings, far)
        cells = {
            (str(at.source), str(at.target)): _cell(at, of_pair[at.source, at.target, str(ticket)])
            for at in rows_of(far)
        }
        headings = named(findings.results, "source", sources)
        body = [
            (heading, [cells.get((source, target)) for target in targets])
            for heading, source in zip(headings, sources, strict=True)
        ]
        tables.append(HowFar(str(ticket), named(findings.results, "target", targets), body))
    return tables


def _cell(far: SimpleNamespace, pair: list[SimpleNamespace]) -> Reach:
    """`far`: a row of `comparisons.reach`; `pair`: the comparisons it is of, the least pruned first."""
    held = far.left == far.left
    more = [row for row in pair if not held or row.left < far.left]
    why = _stopped(more[0]) if more else "every level that was evaluated holds"
    if held:
        return Reach(percent_left(far.left), why, float(far.left), _depth(far.left))
    return Reach("none" if far.tested > 0 else "no test", why, None, 0.0)


def _stopped(row: SimpleNamespace) -> str:
    """Why the level of a comparison does not hold."""
    if row.p_noninferior == row.p_noninferior:
        return f"at {percent_left(row.left)} not shown: {points(row.difference)} points, {p_equals(row.p_noninferior)}"
    return f"at {percent_left(row.left)} not tested: {row.remark}"


def _depth(left: float) -> float:
    """How strongly a cell is coloured: 1 where a thousandth of the weights is enough."""
    return min(1.0, -math.log10(left) / 3) if left > 0 else 1.0


SECTION = Section(
    "how_far",
    "How far",
    "How far can it be pruned?",
    lambda findings: Fragment({"how_far": how_far(findings)}),
)
