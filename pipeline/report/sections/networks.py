"""Networks that succeed, of models that train many at once: tables, and an answer in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.experiment.spec import DENSE
from pipeline.report.analysis.comparisons import COMPARISONS
from pipeline.report.analysis.networks import METRICS, NETWORKS, POINT, paired_networks
from pipeline.report.findings import Findings, Table
from pipeline.report.rows import rows_of
from pipeline.report.sections.section import Fragment, Screen, Section
from pipeline.report.wording import listed, p_value, shown

if TYPE_CHECKING:
    from rich.table import Table as RichTable

SPELLED_OUT = 12
"""Rows that the sentence names."""
TITLES = dict(zip(METRICS, ("decision boundary", "no point wrong", "zero loss"), strict=True))


def network_rows(networks: pd.DataFrame) -> list[SimpleNamespace]:
    """A row for each (target, source, ticket, round, draw) of the table `networks`; `of`: by metric its numbers.

    These are in percent and points of it, with intervals of 95 %; empty where there is none. `inside`: whether the
    paper's share is in our interval, None without one.
    """
    rows = []
    for _, of_point in networks.groupby(POINT, sort=False):
        metrics = list(rows_of(of_point))
        first = metrics[0]
        rows.append(
            SimpleNamespace(
                **{name: getattr(first, name) for name in ("target", "source", "round", "n")},
                ticket=f"{first.ticket}, draw {first.draw + 1}" if first.draw else first.ticket,
                hidden=shown(first.hidden),
                of={row.metric: _numbers(row) for row in metrics},
            )
        )
    return rows


def how_many_succeed(networks: pd.DataFrame) -> list[str]:
    """One sentence: of each target the dense networks, and the most pruned ticket of each source.

    Tickets whose dense networks have no result yet are left out.
    """
    if networks.empty:
        return []
    last = networks.groupby(POINT[:3], sort=False)["round"].transform("max")
    known = networks["both"].notna() | (networks["round"] == 0)
    rows = network_rows(networks[(networks["round"] == last) & known])
    clauses = []
    for target in dict.fromkeys(row.target for row in rows[:SPELLED_OUT]):
        of_target = [_clause(row) for row in rows[:SPELLED_OUT] if row.target == target]
        clauses.append(f"on {target} {listed(of_target)}")
    more = f"; the table has {len(rows) - SPELLED_OUT} more" if len(rows) > SPELLED_OUT else ""
    about = (
        "found the decision boundary, had no point on the wrong side of it, reached zero loss; of pruned tickets those "
        "whose dense network did, too"
    )
    sentence = f"{'; '.join(clauses)} ({about}){more}."
    return [f"How many networks succeed? {sentence[0].upper()}{sentence[1:]}"]


def is_all(findings: Findings) -> bool:
    """Whether networks that succeed are all that the grid can say: no comparison over seeds can be tested."""
    return not findings.of(NETWORKS).empty and not (findings.of(COMPARISONS)["remark"] == "").any()


def _clause(row: SimpleNamespace) -> str:
    whose = "dense networks" if row.ticket == DENSE else f"{row.ticket} tickets of {row.source}"
    units = f" with {row.hidden} hidden units" if row.hidden else ""
    return f"{listed([numbers.both or numbers.share for numbers in row.of.values()])} % of {row.n:,} {whose}{units}"


def _numbers(row: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(
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
    return shown(100 * share, f"{{:{sign}.1f}}".format)


def _between(low: float, high: float, sign: str = "") -> str:
    return "" if pd.isna(low) else f"{_percent(low, sign)} to {_percent(high, sign)}"


PAIRED_NETWORKS = Table(
    "paired_networks",
    lambda findings: paired_networks(findings.results, findings.read.snapshot, findings.spec),
)


def _page(findings: Findings) -> Fragment | None:
    table = findings.of(NETWORKS)
    if table.empty:
        return None
    values = {"rows": network_rows(table), "titles": TITLES, "paired_networks": paired_rows(findings)}
    return Fragment(values | {name: bool(table[of].notna().any()) for name, of in COLUMNS.items()})


COLUMNS = {"both": "both", "paper": "published"}
"""That a table may have: whether one has it."""


def paired_rows(findings: Findings) -> list[dict[str, str]]:
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
        for row in rows_of(findings.of(PAIRED_NETWORKS))
    ]


def _lines(findings: Findings, screen: Screen) -> Iterator[RichTable]:
    """A table a metric, the page's rows: shares in percent with their intervals. None where there is no row."""
    rows = network_rows(findings.of(NETWORKS))
    return (_table(metric, title, rows, screen) for metric, title in (TITLES.items() if rows else ()))


def _table(metric: str, title: str, rows: list[SimpleNamespace], screen: Screen) -> RichTable:
    from rich.table import Table as RichTable

    numbers = [row.of[metric] for row in rows]
    with_dense, paper = any(one.both for one in numbers), any(one.paper for one in numbers)
    headings = ["all", *["with dense"] * with_dense, *["paper"] * paper]
    title = f"Networks that succeed (%): {title}"
    table = RichTable(title=title, box=screen.style, title_justify="left", caption_justify="left")
    table.add_column("source -> target\nticket", overflow="fold")
    for heading in ("units", "n", *headings):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, one in zip(rows, numbers, strict=True):
        table.add_row(_named(row), row.hidden, f"{row.n:,}", *_cells(one, with_dense, paper))
    remarks = ["beneath: 95 % interval"]
    remarks += ["with dense: the dense network succeeds, too"] * with_dense
    remarks += ["!: the paper's is outside our interval"] * any(one.inside is False for one in numbers)
    table.caption = "; ".join(remarks)
    return table


def _named(row: SimpleNamespace) -> str:
    if row.ticket == DENSE:
        return f"{row.target}\n{row.ticket}"
    return f"{row.source} -> {row.target}\n{row.ticket}, round {row.round}"


def _cells(numbers: SimpleNamespace, with_dense: bool, paper: bool) -> list[str]:
    cells = [f"{numbers.share}\n{numbers.interval}", *[f"{numbers.both}\n{numbers.both_interval}"] * with_dense]
    return [*cells, *[numbers.paper + "!" * (numbers.inside is False)] * paper]


SECTION = Section(
    "networks",
    "Networks",
    "Networks that succeed",
    _page,
    computed=(NETWORKS, PAIRED_NETWORKS),
    lines=_lines,
    turn=2,
)
