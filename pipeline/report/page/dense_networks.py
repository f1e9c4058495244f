"""The page's tables of what tickets are held against: dense networks."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.report.analysis.beside_dense import NO_POINT
from pipeline.report.dense_tests import BesideDense, about_beside_dense, beside_dense_rows
from pipeline.report.findings import Findings
from pipeline.report.unit import unit_of
from pipeline.report.winners import CAUTION, Winner, kinds, what_wins, winners

SHOWN = 200
"""Rows of a table; of more, the files have the rest."""


@dataclass(frozen=True, slots=True)
class BesideDenseTable:
    """At most SHOWN `rows`, `more` further ones, and what belongs under them. `unit`: what n counts."""

    rows: list[BesideDense]
    more: int
    notes: list[str]
    unit: str

    @classmethod
    def of(cls, findings: Findings) -> BesideDenseTable | None:
        """None where there is neither a dense network nor a paper's test."""
        table, published = findings.beside_dense, findings.spec.analysis.published
        if not (table["dense_draw"].notna() | (table["remark"] == NO_POINT)).any():
            return None
        notes = about_beside_dense(table, published.of if published is not None and published.tests else "")
        # a row that the paper has is never left out
        shown = table[(table.index < SHOWN) | table["published_n"].notna()]
        return cls(beside_dense_rows(shown), len(table) - len(shown), notes, unit_of(findings.spec))


@dataclass(frozen=True, slots=True)
class WinningTickets:
    """Of at most SHOWN kinds of ticket the `rows`, how many `more` there are, and the sentences around them."""

    rows: list[Winner]
    more: int
    about: str
    unit: str
    caution = CAUTION

    @classmethod
    def of(cls, findings: Findings) -> WinningTickets | None:
        """None where there is nothing to hold tickets against."""
        table = findings.winning_tickets
        if table.empty or (findings.spec.analysis.reference is None and not findings.spec.dense):
            return None
        shown, more = kinds(table, SHOWN)
        return cls(winners(shown), more, what_wins(table), unit_of(findings.spec))
