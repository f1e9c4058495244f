"""The report in the terminal: accuracy by weights left, then what winning tickets are compared with, also in words."""

import io
import math
from collections.abc import Iterable
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.experiment.spec import ANY, DENSE
from pipeline.lottery.counting import count_of
from pipeline.lottery.printable import escaped
from pipeline.report.analysis.comparisons import levels
from pipeline.report.success import how_many_succeed, is_all
from pipeline.report.terminal_dense import beside_dense_tables
from pipeline.report.terminal_networks import success_tables
from pipeline.report.verdicts import answers, differences
from pipeline.report.winners import winning_sentences
from pipeline.report.wording import interval, listed, p_value, percent_left, points

ROUND, NUMBERS = 14, 12
"""Characters of a round's column with its frame, and of the remaining columns beside the two names."""
FEWEST_ROUNDS = 3
LONGEST = 60
"""Rows that a table of comparisons may have."""
LEVELS = 2
"""Levels that are compared in tables: the chosen one and the less pruned one before it."""


def report(
    results: pd.DataFrame,
    curves: pd.DataFrame,
    compared: pd.DataFrame,
    level: float | None,
    *,
    networks: pd.DataFrame | None = None,
    beside_dense: pd.DataFrame | None = None,
    published: str = "",
    winning: pd.DataFrame | None = None,
    width: int = 100,
    plain: bool = False,
) -> RenderableType:
    """All of the terminal's report, for `rich.console.Console.print`.

    `compared`: the table of `comparisons`, read at `level` (weights remaining, in [0, 1]; None: there is nothing to
    compare) and at the one before it; `networks`: that of `networks.networks`, None where no training was of many
    networks at once; `beside_dense` and `winning`: those of `beside_dense.beside_dense` and
    `winning_tickets.winning_tickets`, None where the grid does not ask for them; `published`: where the paper has the
    tests that stand in the first; `width`: columns of the terminal, which decide how many rounds a table shows (the
    first and the last among them); `plain`: ASCII lines instead of box characters.
    """
    style = box.ASCII if plain else box.SIMPLE_HEAD
    names = [results[column].str.len().max() for column in ("source", "ticket")] if len(results) else []
    columns = max(FEWEST_ROUNDS, (width - sum(map(int, names)) - NUMBERS) // ROUND)
    parts: list[RenderableType] = [*_accuracy_tables(curves, columns, style)]
    parts += _comparison_tables(compared, level, style)
    if networks is not None and not networks.empty:
        parts += [*success_tables(networks, style), *map(Text, how_many_succeed(networks))]
    if networks is None or not is_all(networks, compared):
        parts += map(Text, [*answers(compared, level, curves), *differences(compared, level)])
    if beside_dense is not None:
        parts += beside_dense_tables(beside_dense, published, style)
    if winning is not None:
        parts += map(Text, winning_sentences(winning))
    parts += [Text(line) for line in _without_result(results)]
    return Group(*parts)


def plain_text(
    results: pd.DataFrame, curves: pd.DataFrame, compared: pd.DataFrame, level: float | None, width: int = 120
) -> str:
    """The report without colours or box characters, for logs and pipes."""
    stream = io.StringIO()
    whole = report(results, curves, compared, level, width=width, plain=True)
    Console(file=stream, width=width, color_system=None, markup=False, emoji=False).print(whole)
    return escaped(stream.getvalue())


def _accuracy_tables(means: pd.DataFrame, columns: int, style: box.Box) -> list[Table]:
    left = (1 - means["fraction_pruned"]).map(percent_left)
    means = means.assign(left=left)
    tables = []
    for target, of_target in means.groupby("target", sort=False):
        pruned = of_target.sort_values("fraction_pruned")
        shown = _spread(list(dict.fromkeys(zip(pruned["round"], pruned["left"], strict=True))), columns)
        table = Table(title=f"Test accuracy on {target} (%), mean ± std over n seeds", box=style, title_justify="left")
        for heading in ("source", "ticket", "n"):
            table.add_column(heading, no_wrap=True)
        for number, percent in shown:
            table.add_column(f"{percent} left\nround {number}", justify="right", no_wrap=True)
        # what belongs to no source comes last: it is what the rows above are compared with
        ordered = of_target.sort_values("source", key=lambda source: source == ANY, kind="stable")
        for (source, ticket), curve in ordered.groupby(["source", "ticket"], sort=False):
            seeds = int(curve["n"].max())
            cells = {(row.round, row.left): _cell(row, seeds) for row in _rows(curve)}
            table.add_row(str(source), str(ticket), str(seeds), *[cells.get(column, "") for column in shown])
        if of_target["n_diverged"].any():
            table.caption = "!: with diverged runs"
        tables.append(table)
    return tables


def _comparison_tables(compared: pd.DataFrame, level: float | None, style: box.Box) -> list[RenderableType]:
    """A table for each kind of winning ticket and what it is compared with, rows with any result only."""
    if level is None:
        return []
    shown = [other for other in levels(compared) if other >= level][-LEVELS:]
    rows = compared[compared["left"].isin(shown) & (compared["n"] > 0) & (compared["comparison"] != DENSE)]
    parts: list[RenderableType] = []
    for (comparison, ticket, reference), of_one in rows.groupby(["comparison", "ticket", "reference"], sort=False):
        title = f"{ticket} minus {reference if comparison == 'control' else 'that of the target itself'}"
        if len(of_one) <= LONGEST:
            parts.append(_comparison_table(title, of_one, style))
        else:
            parts.append(Text(f"{title}: {len(of_one):,} comparisons, too many for a terminal; the report has them."))
    return parts


def _comparison_table(what: str, compared: pd.DataFrame, style: box.Box) -> Table:
    title = f"{what}, paired by seed, in points of accuracy"
    table = Table(title=title, box=style, title_justify="left", pad_edge=False, caption_justify="left")
    for heading in ("source", "target"):
        table.add_column(heading, overflow="fold")
    for heading in ("left", "difference", "95 % interval", "p (Holm)", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in _rows(compared):
        test = ("no test", "") if row.remark else (interval(row), p_value(row.p_holm))
        table.add_row(row.source, row.target, percent_left(row.left), points(row.difference), *test, str(row.n))
    tests = compared.drop_duplicates("left").sort_values("left", ascending=False)
    corrected = [f"{row.tests} with {percent_left(row.left)} left" for row in _rows(tests)]
    table.caption = f"p: two-sided, Holm-corrected over the tests of a level: {listed(corrected)}"
    return table


def _without_result(table: pd.DataFrame) -> list[str]:
    counts = table["status"].value_counts()
    words = {
        "diverged": ("diverged (it counts with its accuracy)", "diverged (counted with their accuracy)"),
        "failed": ("failed", "failed"),
        "missing": ("has no result yet", "have no result yet"),
    }
    return [
        f"{counts[status]:,} of {count_of(len(table), 'run')} {one if counts[status] == 1 else several}."
        for status, (one, several) in words.items()
        if status in counts
    ]


def _spread(items: list[tuple[int, str]], count: int) -> list[tuple[int, str]]:
    if len(items) <= count:
        return items
    return [items[round(place * (len(items) - 1) / (count - 1))] for place in range(count)]


def _cell(row: Any, seeds: int) -> str:
    """Mean and std; `n=` where fewer seeds than elsewhere on the curve have a result, `!` where one diverged."""
    if not row.n:
        return "-"
    spread = "" if math.isnan(row.std) else f" ± {100 * row.std:.1f}"
    fewer = "" if row.n == seeds else f" n={row.n}"
    return f"{100 * row.mean:.1f}{spread}{fewer}" + "!" * bool(row.n_diverged)


def _rows(table: pd.DataFrame) -> Iterable[Any]:
    return table.itertuples()
