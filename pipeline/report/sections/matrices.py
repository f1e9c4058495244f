"""Source x target matrices of the paired comparisons, and in the terminal a table for each kind of comparison."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.experiment.spec import DENSE
from pipeline.report.analysis.comparisons import COMPARISONS, LEVEL, levels
from pipeline.report.analysis.networks import NETWORKS
from pipeline.report.charts.matrices import matrices
from pipeline.report.findings import Findings
from pipeline.report.sections.networks import is_all
from pipeline.report.sections.section import Fragment, Screen, Section
from pipeline.report.stills.matrix import matrix_figure
from pipeline.report.wording import interval, listed, p_value, percent_left, points

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as Printed

LONGEST = 60
"""Rows that a table of comparisons may have."""
LEVELS = 2
"""Levels that are compared in tables: the chosen one and the less pruned one before it."""


def _page(findings: Findings) -> Fragment:
    compared = None if is_all(findings) else matrices(findings)
    untested = "; ".join(findings.of(COMPARISONS)["remark"].drop_duplicates()) or "there is none"
    counted = not findings.of(NETWORKS).empty
    values = {"matrices": compared, "untested": untested, "networks": counted}
    return Fragment(values, data={"matrices": compared.described() if compared else None})


def _lines(findings: Findings, screen: Screen) -> Iterator[RenderableType]:
    """A table for each kind of winning ticket and what it is compared with, rows with any result only."""
    from rich.text import Text

    compared, level = findings.of(COMPARISONS), findings.of(LEVEL)
    if level is None:
        return
    shown = [other for other in levels(compared) if other >= level][-LEVELS:]
    rows = compared[compared["left"].isin(shown) & (compared["n"] > 0) & (compared["comparison"] != DENSE)]
    for (comparison, ticket, reference), of_one in rows.groupby(["comparison", "ticket", "reference"], sort=False):
        title = f"{ticket} minus {reference if comparison == 'control' else 'that of the target itself'}"
        if len(of_one) <= LONGEST:
            yield _table(title, of_one, screen)
        else:
            yield Text(f"{title}: {len(of_one):,} comparisons, too many for a terminal; the report has them.")


def _table(what: str, compared: pd.DataFrame, screen: Screen) -> Printed:
    from rich.table import Table as Printed

    title = f"{what}, paired by seed, in points of accuracy"
    table = Printed(title=title, box=screen.style, title_justify="left", pad_edge=False, caption_justify="left")
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


def _rows(table: pd.DataFrame) -> Iterable[Any]:
    return table.itertuples()


SECTION = Section(
    "matrices",
    "Matrices",
    "From which source, to which target",
    _page,
    computed=(COMPARISONS, LEVEL),
    stills={"matrix": matrix_figure},
    lines=_lines,
    turn=1,
)
