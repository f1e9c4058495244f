"""Winning tickets: of each kind the smallest one and the most accurate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.experiment.spec import DENSE
from pipeline.lottery.counting import count_of
from pipeline.report.analysis.winning_tickets import winning_tickets
from pipeline.report.findings import Findings, Table
from pipeline.report.histories import HISTORIES
from pipeline.report.sections.section import Fragment, Screen, Section
from pipeline.report.unit import unit_of
from pipeline.report.wording import interval, percent_left, points

if TYPE_CHECKING:
    from rich.text import Text

KIND = ["source", "target", "ticket"]
SHOWN = 200
"""Kinds of ticket in the page's table; of more, the files have the rest."""
SMALLEST, BEST = "smallest", "most accurate"
SPELLED_OUT = 12
"""Kinds of ticket, by source and target, that have a sentence each."""
CAUTION = (
    "That a ticket wins is a statement about means, not a test: the interval of the difference says how far its "
    "accuracy may lie below the reference's. The smallest and the most accurate one are picked from several rounds, "
    "which favours lucky ones."
)


@dataclass(frozen=True, slots=True)
class Winner:
    """The smallest or the most accurate winning ticket of a source, target and kind of ticket.

    Where none wins, the most accurate of those that do not.

    Accuracies are in percent, differences in points; empty where there is no number.
    """

    source: str
    target: str
    ticket: str
    which: str
    """`smallest`, `most accurate`, both, or that none wins, and of which it is not known."""
    wins: bool
    round: str = ""
    left: str = ""
    accuracy: str = ""
    reference: str = ""
    difference: str = ""
    interval: str = ""
    iterations: str = ""
    reference_iterations: str = ""
    n: str = ""
    wins_in: str = ""
    unit: str = ""
    """Of `n` and `wins_in`."""


def winners(table: pd.DataFrame) -> list[Winner]:
    """One or two for each (source, target, ticket) of the table `winning_tickets`, in its order."""
    return [
        winner
        for (source, target, ticket), rows in table.groupby(KIND, sort=False)
        for winner in _of_kind((str(source), str(target), str(ticket)), rows)
    ]


def kinds(table: pd.DataFrame, count: int) -> tuple[pd.DataFrame, int]:
    """The rows of the first `count` (source, target, ticket), and how many more there are."""
    place = table.groupby(KIND, sort=False).ngroup()
    return table[place < count], max(0, int(place.max()) + 1 - count)


def what_wins(table: pd.DataFrame) -> str:
    """What a winning ticket is held against, and when accuracy and iterations are read."""
    first = next(_rows(table))
    against = (
        "the dense network trained from scratch on the target"
        if first.reference == DENSE
        else f"round 0 of {first.reference}, the dense network, on the same source and target"
    )
    of_target = table.groupby("measured_at", sort=False)["target"].unique()
    said = [
        f"at the {moment}" + (f" on {', '.join(targets)}" if len(of_target) > 1 else "")
        for moment, targets in of_target.items()
    ]
    return (
        "A ticket wins if it reaches at least the test accuracy of its reference in at most as many iterations (Mehta "
        f"2019, section 2). The reference is {against}. Both are read {' and '.join(said)}."
    )


def winning_sentences(table: pd.DataFrame) -> list[str]:
    """Which tickets win, in a sentence for each (source, target, ticket); of many of them how many have one."""
    if table.empty:
        return []
    _, more = kinds(table, SPELLED_OUT)
    if more:
        some = len(table[table["wins"].fillna(False).astype(bool)].drop_duplicates(KIND))
        every = f"{more + SPELLED_OUT:,} kinds of ticket, by source and target"
        told = "none has a winning one" if not some else f"{count_of(some, 'has', 'have')} a winning one"
        return [what_wins(table), f"Of {every}, {told}; the report has them.", CAUTION]
    of_kind: dict[tuple[str, str, str], list[Winner]] = {}
    for one in winners(table):
        of_kind.setdefault((one.source, one.target, one.ticket), []).append(one)
    return [what_wins(table), *map(_sentence, of_kind.values()), CAUTION]


def _of_kind(names: tuple[str, str, str], rows: pd.DataFrame) -> Iterator[Winner]:
    winning = rows[rows["wins"].fillna(False).astype(bool)]
    if winning.empty:
        known = rows[rows["n"] > 0]
        which = _none(rows)
        yield _told(names, which, known.loc[[_best(known)]]) if len(known) else Winner(*names, which, wins=False)
        return
    smallest, best = winning.sort_values("remaining", kind="stable").index[0], _best(winning)
    both = f"{SMALLEST} and {BEST}"
    for which, place in ((SMALLEST, smallest), (BEST, best)) if smallest != best else ((both, best),):
        yield _told(names, which, winning.loc[[place]])


def _best(rows: pd.DataFrame) -> Any:
    """Where the most accurate is, the smallest of equals."""
    return rows.sort_values(["accuracy", "remaining"], ascending=[False, True], kind="stable").index[0]


def _told(names: tuple[str, str, str], which: str, chosen: pd.DataFrame) -> Winner:
    row = next(_rows(chosen))
    return Winner(
        *names,
        which,
        wins=bool(row.wins),
        round=str(row.round),
        left=percent_left(row.remaining),
        accuracy=f"{100 * row.accuracy:.2f}",
        reference=f"{100 * row.reference_accuracy:.2f}",
        difference=points(row.difference),
        interval=row.remark if row.remark else interval(row),
        iterations=_count(row.iterations),
        reference_iterations=_count(row.reference_iterations),
        n=str(row.n),
        wins_in=str(row.wins_in),
        unit=row.unit,
    )


def _count(iterations: float) -> str:
    return "none (diverged)" if math.isnan(iterations) else f"{iterations:,.0f}"


def _none(rows: pd.DataFrame) -> str:
    """That no round wins, and why of some it cannot be said."""
    known = rows["n"] > 0
    unknown = "; ".join(dict.fromkeys(rows.loc[~known, "remark"]))
    if not known.any():
        return f"not known: {unknown}"
    count = int(known.sum())
    more = f", {len(rows) - count} not known: {unknown}" if count < len(rows) else ""
    return f"no winning ticket ({count_of(count, 'round')} evaluated{more})"


def _sentence(of_kind: list[Winner]) -> str:
    first = of_kind[0]
    where = f"{first.source} -> {first.target}, {first.ticket}:"
    if not first.wins:
        best = f"; the most accurate one {_numbers(first)}" if first.n else ""
        return f"{where} {first.which}{best}."
    return f"{where} {'; '.join(map(_clause, of_kind))}."


def _clause(one: Winner) -> str:
    return f"the {one.which} winning ticket {_numbers(one)}"


def _numbers(one: Winner) -> str:
    units = one.unit + "s" * (one.n != "1")
    return (
        f"has {one.left} of the weights, {one.accuracy} % beside {one.reference} % ({one.difference} points, "
        f"{one.interval}) after {one.iterations} iterations beside {one.reference_iterations}, and wins in "
        f"{'none' if one.wins_in == '0' else one.wins_in} of {one.n} {units}"
    )


def _rows(table: pd.DataFrame) -> Iterator[Any]:
    return iter(table.itertuples())


WINNING_TICKETS = Table(
    "winning_tickets",
    lambda findings: winning_tickets(findings.results, findings.of(HISTORIES), findings.spec),
    reads_store=True,
)


def _page(findings: Findings) -> Fragment:
    """Without a table where there is nothing to hold tickets against."""
    table = findings.of(WINNING_TICKETS)
    if table.empty or (findings.spec.analysis.reference is None and not findings.spec.dense):
        return Fragment({"winning": False})
    shown, more = kinds(table, SHOWN)
    about = {"about": what_wins(table), "unit": unit_of(findings.spec), "caution": CAUTION}
    return Fragment({"winning": True, "rows": winners(shown), "more": more, **about})


def _lines(findings: Findings, screen: Screen) -> Iterator[Text]:
    """Where the grid names a reference."""
    from rich.text import Text

    if findings.spec.analysis.reference is not None:
        yield from map(Text, winning_sentences(findings.of(WINNING_TICKETS)))


SECTION = Section(
    "winning_tickets", "Winning tickets", "Winning tickets", _page, computed=(WINNING_TICKETS,), lines=_lines
)
