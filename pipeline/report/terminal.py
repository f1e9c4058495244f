"""The report in the terminal: accuracy by weights left, then winning against random tickets in numbers and in words."""

import io
import math
from collections.abc import Iterable
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.experiment.spec import ANY
from pipeline.report.statistics import curves, winning_vs_random

SIGNIFICANT = 0.05
SMALLEST_P = 0.0001
ROUND, NUMBERS = 14, 12
"""Characters of a round's column with its frame, and of the remaining columns beside the two names."""
FEWEST_ROUNDS = 3
SPELLED_OUT = 8
"""Transfers that get a sentence each; larger grids get the summary only."""


def report(table: pd.DataFrame, *, width: int = 100, last: int = 2, plain: bool = False) -> RenderableType:
    """All of the terminal's report, for `rich.console.Console.print`.

    `width`: columns of the terminal, which decide how many rounds a table shows (the first and the last among them);
    `last`: how many of the last rounds are compared; `plain`: ASCII lines instead of box characters.
    """
    style = box.ASCII if plain else box.SIMPLE_HEAD
    names = [table[column].str.len().max() for column in ("source", "ticket")] if len(table) else []
    columns = max(FEWEST_ROUNDS, (width - sum(map(int, names)) - NUMBERS) // ROUND)
    parts: list[RenderableType] = [*_accuracy_tables(curves(table), columns, style)]
    comparison = winning_vs_random(table)
    if len(comparison):
        of_reference = _last_rounds(comparison, last).groupby("reference", sort=False)
        parts += [_comparison_table(str(reference), rows, style) for reference, rows in of_reference]
        parts += map(Text, verdicts(comparison))
    parts += [Text(line) for line in _without_result(table)]
    return Group(*parts)


def plain_text(table: pd.DataFrame, width: int = 120) -> str:
    """The report without colours or box characters, for logs and pipes."""
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(report(table, width=width, plain=True))
    return stream.getvalue()


def verdicts(comparison: pd.DataFrame) -> list[str]:
    """What the comparison at the last round says, in sentences: one for all transfers, then one for each of a few."""
    sentences = []
    at_end = _last_rounds(comparison, 1)
    for reference, rows in at_end.groupby("reference", sort=False):
        tested = rows[rows["p"].notna()]
        above = int(((tested["p"] < SIGNIFICANT) & (tested["difference"] > 0)).sum())
        below = int(((tested["p"] < SIGNIFICANT) & (tested["difference"] < 0)).sum())
        undecided = len(tested) - above - below
        untested = len(rows) - len(tested)
        sentences.append(
            f"At the last round, winning tickets are above {reference} ones in {above} of {len(rows)} transfers "
            f"and below in {below} (p < {SIGNIFICANT:g}, each test on its own); {undecided} undecided"
            + (f", {untested} not testable." if untested else ".")
        )
    if len(at_end) <= SPELLED_OUT:
        sentences += map(_sentence, _rows(at_end))
    return sentences


def _accuracy_tables(means: pd.DataFrame, columns: int, style: box.Box) -> list[Table]:
    left = (1 - means["fraction_pruned"]).map(_percent_left)
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


def _comparison_table(reference: str, comparison: pd.DataFrame, style: box.Box) -> Table:
    title = f"Winning minus {reference}, paired by seed, in points of accuracy"
    table = Table(title=title, box=style, title_justify="left", pad_edge=False)
    for heading in ("source", "target"):
        table.add_column(heading, overflow="fold")
    for heading in ("left", "difference", "95 % interval", "p", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in _rows(comparison):
        left, difference = _percent_left(1 - row.fraction_pruned), f"{100 * row.difference:+.2f}"
        test = ("no test", "") if row.remark else (_interval(row), _p(row.p))
        table.add_row(row.source, row.target, left, difference, *test, str(row.n))
    return table


def _sentence(row: Any) -> str:
    left = _percent_left(1 - row.fraction_pruned)
    where = f"{row.source} -> {row.target} with {left} of the weights left: "
    if row.remark:
        return f"{where}winning minus {row.reference} is {100 * row.difference:+.2f} points; {row.remark}."
    p = _p(row.p) if row.p < SMALLEST_P else f"= {_p(row.p)}"
    numbers = f"({_interval(row)}, p {p}, n = {row.n})"
    if row.p >= SIGNIFICANT:
        return f"{where}no difference between winning and {row.reference} tickets is shown {numbers}."
    side = "above" if row.difference > 0 else "below"
    return f"{where}winning tickets are {100 * abs(row.difference):.2f} points {side} {row.reference} ones {numbers}."


def _without_result(table: pd.DataFrame) -> list[str]:
    counts = table["status"].value_counts()
    words = {"diverged": "diverged (counted with their accuracy)", "failed": "failed", "missing": "have no result yet"}
    return [f"{counts[status]} of {len(table)} runs {text}." for status, text in words.items() if status in counts]


def _last_rounds(comparison: pd.DataFrame, count: int) -> pd.DataFrame:
    """The last rounds of every (source, target, reference): chains may differ in length."""
    by = ["source", "target", "reference"]
    rank = comparison.groupby(by)["round"].rank(method="dense", ascending=False)
    return comparison[rank <= count]


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


def _interval(row: Any) -> str:
    return f"{100 * row.low:+.2f} to {100 * row.high:+.2f}"


def _percent_left(fraction: float) -> str:
    """Three significant digits, so that 0.12 % is told from 0.15 %."""
    return f"{100 * fraction:.3g} %"


def _p(p: float) -> str:
    return f"<{SMALLEST_P:f}".rstrip("0") if p < SMALLEST_P else f"{p:.2g}"
