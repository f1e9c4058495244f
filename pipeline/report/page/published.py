"""Rows of the page's tables that hold a paper's numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.report.success import TITLES, Success, success_rows
from pipeline.report.wording import p_value

CONVERGENCE = "convergence"
WORDS = {
    "test_accuracy": "test accuracy (%)",
    CONVERGENCE: "iterations to convergence",
    "accuracy_at_convergence": "test accuracy at convergence (%)",
}
WORDS |= {metric: f"{title} (%)" for metric, title in TITLES.items()}


@dataclass(frozen=True, slots=True)
class Networks:
    """The table of networks that succeed. `both` and `paper`: whether it has such columns."""

    rows: list[Success]
    both: bool
    paper: bool
    titles = TITLES


def networks_table(networks: pd.DataFrame) -> Networks | None:
    """None where no training was of many networks."""
    if networks.empty:
        return None
    return Networks(
        success_rows(networks), bool(networks["both"].notna().any()), bool(networks["published"].notna().any())
    )


def paired_rows(paired: pd.DataFrame) -> list[dict[str, str]]:
    """Two ways to prune the same networks, of which only one succeeds."""
    return [
        {
            **{name: str(getattr(row, name)) for name in ("target", "ticket", "round", "source", "other")},
            "metric": TITLES[row.metric],
            "n": f"{row.n:,}",
            "only_source": f"{row.only_source:,}",
            "only_other": f"{row.only_other:,}",
            "p": p_value(row.p_holm),
        }
        for row in _rows(paired)
    ]


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
