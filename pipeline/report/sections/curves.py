"""Pruning curves: test accuracy against what remains, a panel or, in the terminal, a table a target."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING

from pipeline.experiment.spec import ANY
from pipeline.report.analysis.over_seeds import CURVES
from pipeline.report.charts.columns import spread_in_words
from pipeline.report.charts.curves import pruning_curves, seeds_in_words
from pipeline.report.findings import Findings
from pipeline.report.rows import evenly, rows_of
from pipeline.report.sections.section import Fragment, Screen, Section
from pipeline.report.stills.panels import panels_figure
from pipeline.report.wording import percent_left

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table as RichTable

ROUND, NUMBERS = 14, 12
"""Characters of a round's column with its frame, and of the remaining columns beside the two names."""
FEWEST_ROUNDS = 3


def _page(findings: Findings) -> Fragment:
    charts = pruning_curves(findings)
    return Fragment({"curves": charts}, charts)


def curves_figure(findings: Findings) -> Figure | None:
    """Test accuracy against weights remaining, a panel a target."""
    charts = pruning_curves(findings)
    spread = spread_in_words(findings.spec.analysis.spread)
    return panels_figure(charts, f"{findings.name}\n{spread}, {seeds_in_words(findings)}") if charts else None


def _lines(findings: Findings, screen: Screen) -> Iterator[RichTable]:
    """A table a target; the terminal's width decides how many rounds it shows, the first and the last among them."""
    from rich.table import Table as RichTable

    results = findings.results
    names = [results[column].str.len().max() for column in ("source", "ticket")] if len(results) else []
    columns = max(FEWEST_ROUNDS, (screen.width - sum(map(int, names)) - NUMBERS) // ROUND)
    means = findings.of(CURVES)
    means = means.assign(left=(1 - means["fraction_pruned"]).map(percent_left))
    for target, of_target in means.groupby("target", sort=False):
        pruned = of_target.sort_values("fraction_pruned")
        shown = evenly(list(dict.fromkeys(zip(pruned["round"], pruned["left"], strict=True))), columns)
        title = f"Test accuracy on {target} (%), mean ± std over n seeds"
        table = RichTable(title=title, box=screen.style, title_justify="left")
        for heading in ("source", "ticket", "n"):
            table.add_column(heading, no_wrap=True)
        for number, percent in shown:
            table.add_column(f"{percent} left\nround {number}", justify="right", no_wrap=True)
        # what belongs to no source comes last: it is what the rows above are compared with
        ordered = of_target.sort_values("source", key=lambda source: source == ANY, kind="stable")
        for (source, ticket), curve in ordered.groupby(["source", "ticket"], sort=False):
            seeds = int(curve["n"].max())
            cells = {(row.round, row.left): _cell(row, seeds) for row in rows_of(curve)}
            table.add_row(str(source), str(ticket), str(seeds), *[cells.get(column, "") for column in shown])
        if of_target["n_diverged"].any():
            table.caption = "!: with diverged runs"
        yield table


def _cell(row: SimpleNamespace, seeds: int) -> str:
    """Mean and std; `n=` where fewer seeds than elsewhere on the curve have a result, `!` where one diverged."""
    if not row.n:
        return "-"
    spread = "" if math.isnan(row.std) else f" ± {100 * row.std:.1f}"
    fewer = "" if row.n == seeds else f" n={row.n}"
    return f"{100 * row.mean:.1f}{spread}{fewer}" + "!" * bool(row.n_diverged)


SECTION = Section(
    "curves",
    "Curves",
    "Pruning curves",
    _page,
    computed=(CURVES,),
    stills={"curves": curves_figure},
    lines=_lines,
    turn=0,
)
