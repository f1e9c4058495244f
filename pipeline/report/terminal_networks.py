"""Networks that succeed, as compact tables of the terminal."""

import pandas as pd
from rich import box
from rich.table import Table

from pipeline.experiment.spec import DENSE
from pipeline.report.success import TITLES, Success, Told, success_rows


def success_tables(networks: pd.DataFrame, style: box.Box) -> list[Table]:
    """A table a metric, the page's rows: shares in percent with their intervals. None where there is no row."""
    rows = success_rows(networks)
    return [_table(metric, title, rows, style) for metric, title in TITLES.items()] if rows else []


def _table(metric: str, title: str, rows: list[Success], style: box.Box) -> Table:
    told = [row.of[metric] for row in rows]
    with_dense, paper = any(one.both for one in told), any(one.paper for one in told)
    headings = ["all", *["with dense"] * with_dense, *["paper"] * paper]
    table = Table(title=f"Networks that succeed (%): {title}", box=style, title_justify="left", caption_justify="left")
    table.add_column("source -> target\nticket", overflow="fold")
    for heading in ("units", "n", *headings):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, one in zip(rows, told, strict=True):
        table.add_row(_named(row), row.hidden, f"{row.n:,}", *_cells(one, with_dense, paper))
    notes = ["beneath: 95 % interval"]
    notes += ["with dense: the dense network succeeds, too"] * with_dense
    notes += ["!: the paper's is outside our interval"] * any(one.inside is False for one in told)
    table.caption = "; ".join(notes)
    return table


def _named(row: Success) -> str:
    if row.ticket == DENSE:
        return f"{row.target}\n{row.ticket}"
    return f"{row.source} -> {row.target}\n{row.ticket}, round {row.round}"


def _cells(told: Told, with_dense: bool, paper: bool) -> list[str]:
    cells = [f"{told.share}\n{told.interval}", *[f"{told.both}\n{told.both_interval}"] * with_dense]
    return [*cells, *[told.paper + "!" * (told.inside is False)] * paper]
