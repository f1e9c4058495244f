"""Numbers of a paper beside ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from pipeline.report.analysis.convergence import CONVERGENCE as CONVERGED
from pipeline.report.analysis.networks import NETWORKS
from pipeline.report.analysis.published import beside_paper
from pipeline.report.findings import Findings, Table
from pipeline.report.sections.networks import TITLES
from pipeline.report.sections.section import Fragment, Section

CONVERGENCE = "convergence"
WORDS = {
    "test_accuracy": "test accuracy (%)",
    CONVERGENCE: "iterations to convergence",
    "accuracy_at_convergence": "test accuracy at convergence (%)",
}
WORDS |= {metric: f"{title} (%)" for metric, title in TITLES.items()}


def _table(findings: Findings) -> pd.DataFrame:
    return beside_paper(findings.results, findings.of(CONVERGED), findings.of(NETWORKS), findings.spec)


BESIDE_PAPER = Table("beside_paper", _table)


def _page(findings: Findings) -> Fragment | None:
    rows = beside_paper_rows(findings.of(BESIDE_PAPER))
    return Fragment({"beside_paper": rows}) if rows else None


def beside_paper_rows(table: pd.DataFrame) -> list[dict[str, str]]:
    """Names, and numbers as they are shown; empty for what a published value does not name or we do not have."""
    rows = []
    for row in _rows(table):
        relative = not pd.isna(row.versus)
        form = _percent if row.metric != CONVERGENCE else _quotient if relative else _iterations
        apart = "divided by" if row.metric == CONVERGENCE else "minus"
        none = "no such point" if pd.isna(row.n) else "no seed converged" if row.metric == CONVERGENCE else "no result"
        names = {
            name: "" if pd.isna(value := getattr(row, name)) else str(value)
            for name in ("target", "source", "ticket", "round")
        }
        rows.append(
            {
                **names,
                "what": WORDS[row.metric] + f", {apart} {row.versus}'s" * relative,
                "n": "" if pd.isna(row.n) else str(row.n),
                "ours": form(row.mean) or none,
                "interval": f"{form(row.low)} to {form(row.high)}" if row.low == row.low else "",
                "paper": form(row.published),
                "difference": form(row.difference, "+"),
            }
        )
    return rows


def _percent(value: float, sign: str = "") -> str:
    return "" if pd.isna(value) else f"{100 * value:{sign}.2f}"


def _iterations(value: float, sign: str = "") -> str:
    return "" if pd.isna(value) else f"{value:{sign},.0f}"


def _quotient(value: float, sign: str = "") -> str:
    return "" if pd.isna(value) else f"{value:{sign},.2f}"


def _rows(table: pd.DataFrame) -> Iterable[Any]:
    return table.itertuples()


SECTION = Section("beside_paper", "Beside the paper", "Beside the paper", _page, computed=(BESIDE_PAPER,))
