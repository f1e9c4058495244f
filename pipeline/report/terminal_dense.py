"""Tickets beside the dense network, as compact tables of the terminal."""

import pandas as pd
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.report.dense_tests import PAPER, BesideDense, about_beside_dense, beside_dense_rows

LONGEST = 60
"""Rows of all tables together."""


def beside_dense_tables(table: pd.DataFrame, of: str, style: box.Box) -> list[RenderableType]:
    """A table for each source and target, the paper's rows beneath ours; `of`: where the paper has them."""
    rows = beside_dense_rows(table)
    if len(rows) > LONGEST:
        return [
            Text(f"Tickets beside the dense network: {len(rows):,} rows, too many for a terminal; the report has them.")
        ]
    pairs = dict.fromkeys((row.source, row.target) for row in rows)
    tables = [_table([row for row in rows if (row.source, row.target) == pair], style) for pair in pairs]
    return [*tables, *map(Text, about_beside_dense(table, of))]


def _table(rows: list[BesideDense], style: box.Box) -> Table:
    where = f"{rows[0].source or 'any source'} -> {rows[0].target or 'any target'}"
    title = f"Tickets beside the dense network, {where} (test accuracy in %, ± std; difference with 95 % interval)"
    table = Table(title=title, box=style, title_justify="left", pad_edge=False)
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
            paper = row.paper
            table.add_row(PAPER, paper.n, paper.mean, paper.dense, paper.difference, paper.t, paper.p)
    return table
