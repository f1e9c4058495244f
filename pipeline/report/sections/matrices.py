"""Source x target matrices of the paired comparisons; in the terminal a table for each kind of comparison."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.experiment.spec import ANY, DENSE, Spec
from pipeline.report.analysis.comparisons import COMPARISONS, LEVEL, levels
from pipeline.report.analysis.networks import NETWORKS
from pipeline.report.analysis.paired_tests import SIGNIFICANT
from pipeline.report.charts.lines import own_lines
from pipeline.report.findings import Findings
from pipeline.report.rows import rows_of
from pipeline.report.sections.networks import is_all
from pipeline.report.sections.section import Fragment, Screen, Section
from pipeline.report.stills.matrix import matrix_figure
from pipeline.report.wording import interval, listed, p_value, percent_left, points

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import RenderableType
    from rich.table import Table as RichTable

DIGITS, P_DIGITS = 3, 2
"""Significant digits of t and of the effect, and of p."""
WORDS = ("control", "transfer", "dense")
"""Comparisons in the order of the page."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """One table: a ticket minus its reference. `rows` and `columns` count in the page's sources and targets."""

    id: str
    comparison: str
    title: str
    sentence: str
    rows: list[int]
    columns: list[int]
    cells: dict[str, Any]
    """Columns of equal length, by level: `start` has where each level begins. Differences in hundredths of a point."""

    def described(self) -> dict[str, object]:
        names = ("id", "title", "comparison", "rows", "columns")
        return {name: getattr(self, name) for name in names} | self.cells


@dataclass(frozen=True, slots=True)
class Matrices:
    """All tables of the page, and the headings that they share."""

    levels: list[float]
    chosen: int
    sources: list[str]
    targets: list[str]
    remarks: list[str]
    own: list[tuple[int, int]]
    """(source, target) where the source trains as the target does."""
    tables: list[Matrix]

    def described(self) -> dict[str, object]:
        """What `templates/matrices.js` reads."""
        names = ("levels", "chosen", "remarks", "own", "sources", "targets")
        return {name: getattr(self, name) for name in names} | {"tables": [one.described() for one in self.tables]}


def matrices(findings: Findings) -> Matrices | None:
    """A matrix for each (comparison, ticket, reference); None where nothing can be compared."""
    rows, chosen = findings.of(COMPARISONS), findings.of(LEVEL)
    at = levels(rows)
    if rows.empty or chosen is None:
        return None
    sources, targets = sides(findings, rows)
    remarks = list(dict.fromkeys(rows["remark"]))
    rows = rows.assign(
        at_level=pd.Categorical(rows["left"], at).codes,
        at_source=pd.Categorical(rows["source"], sources).codes,
        at_target=pd.Categorical(rows["target"], targets).codes,
        at_remark=pd.Categorical(rows["remark"], remarks).codes,
    ).sort_values(["at_level", "at_source", "at_target"], kind="stable")
    tables = list(_tables(rows, len(at), findings))
    names = [named(findings.results, side, entries) for side, entries in (("source", sources), ("target", targets))]
    pairs = own_lines(findings)
    own = [(s, t) for s, source in enumerate(sources) for t, target in enumerate(targets) if (target, source) in pairs]
    return Matrices(at, at.index(chosen), names[0], names[1], remarks, own, tables)


def sides(findings: Findings, rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Sources and targets that are in `rows`, in the grid's order."""
    of_rows = {side: set(rows[side].unique()) for side in ("source", "target")}
    sources = [source.name for source in findings.spec.sources if source.name in of_rows["source"]]
    return sources, [target.name for target in findings.spec.targets if target.name in of_rows["target"]]


def named(results: pd.DataFrame, side: str, entries: list[str]) -> list[str]:
    """Headings of sources or targets: with the optimizer where the grid has several."""
    known = results.drop_duplicates(side).set_index(side)[f"{side}_optimizer"]
    if len({known[entry] for entry in known.index if entry != ANY}) < 2:
        return entries
    return [f"{entry} ({known[entry]})" for entry in entries]


def _tables(rows: pd.DataFrame, depth: int, findings: Findings) -> Iterator[Matrix]:
    groups = dict(list(rows.groupby(["comparison", "ticket", "reference"], sort=False)))
    for number, key in enumerate(sorted(groups, key=lambda key: WORDS.index(key[0]))):
        comparison, ticket, reference = map(str, key)
        cells = groups[key]
        yield Matrix(
            id=f"matrix-{number}",
            comparison=comparison,
            title=_title(comparison, ticket, reference),
            sentence=_sentence(comparison, ticket, reference, cells, findings),
            rows=sorted(int(code) for code in cells["at_source"].unique()),
            columns=sorted(int(code) for code in cells["at_target"].unique()),
            cells=_columns(cells, depth),
        )


def _columns(cells: pd.DataFrame, depth: int) -> dict[str, Any]:
    level = cells["at_level"].to_numpy()
    tests = cells.groupby("at_level")["tests"].max().reindex(range(depth))
    flags = (cells["p_holm"] < SIGNIFICANT).to_numpy(dtype=int)
    flags = flags + 2 * cells["equivalent"].fillna(False).to_numpy(dtype=bool)
    return {
        "start": np.searchsorted(level, np.arange(depth + 1)).tolist(),
        "tests": [None if count != count else int(count) for count in tests.astype("float64")],
        "margin": float(cells["margin"].iloc[0]),
        "round": cells["round"].tolist(),
        "s": cells["at_source"].tolist(),
        "c": cells["at_target"].tolist(),
        "n": cells["n"].tolist(),
        "d": hundredths(cells["difference"]),
        "low": hundredths(cells["low"]),
        "high": hundredths(cells["high"]),
        "t": _short(cells["t"]),
        "p": _short(cells["p"], P_DIGITS),
        "holm": _short(cells["p_holm"], P_DIGITS),
        "g": _short(cells["effect"]),
        "same": _short(cells["p_equivalence"], P_DIGITS),
        "worse": _short(cells["p_noninferior"], P_DIGITS),
        "flags": flags.tolist(),
        "why": cells["at_remark"].tolist(),
    }


def hundredths(values: pd.Series[float]) -> list[float | None]:
    """Hundredths of a point, exactly as `f"{100 * value:.2f}"` rounds them."""
    shown = (100 * values.astype("float64")).tolist()
    return [None if value != value else _whole(round(value, 2)) for value in shown]


def _whole(points: float) -> int | float:
    """Whole; a negative zero stays one."""
    return round(100 * points) or math.copysign(0.0, points)


def _short(values: pd.Series[float], digits: int = DIGITS) -> list[float | int | None]:
    """To so many significant digits; what is below a millionth is 0."""
    result: list[float | int | None] = []
    for value in values.astype("float64").tolist():
        if value != value:
            result.append(None)
        else:
            rounded = 0.0 if abs(value) < 1e-6 else float(f"{value:.{digits}g}")
            result.append(int(rounded) if rounded.is_integer() else rounded)
    return result


def _title(comparison: str, ticket: str, reference: str) -> str:
    if comparison == "transfer":
        return f"{ticket}, transferred, minus {ticket} of the target's own source"
    return f"{ticket} minus {'the dense network' if reference == DENSE else reference}"


def _sentence(comparison: str, ticket: str, reference: str, cells: pd.DataFrame, findings: Findings) -> str:
    """What is subtracted from what, and what the tests correct for."""
    minuend = (
        f"Test accuracy of the {ticket} ticket of the row's source, trained on the column's target, minus that of "
    )
    subtrahend = {
        "control": f"the {reference} ticket with as many weights",
        "transfer": "the ticket found on the target itself with as many weights left",
        "dense": "the dense network trained from scratch on the target",
    }[comparison]
    correction = (
        " Holm's correction is over the tested cells of this matrix at one level; choosing another level after seeing "
        "it is not corrected for."
    )
    of_heads = caveat(ticket, cells, findings.spec) if comparison == "transfer" else ""
    return f"{minuend}{subtrahend}; paired by seed.{of_heads}{correction}"


OWN = "the ticket of the target's own source"


def caveat(ticket: str, rows: pd.DataFrame, spec: Spec) -> str:
    """A sentence about output layers that only one of two compared tickets keeps; empty where no pair differs in it.

    `rows`: the comparisons of transferred `ticket`s with those of the target's own source.
    """
    kind = next(entry for entry in spec.tickets if entry.name == ticket)
    sources = {entry.name: entry for entry in spec.sources}
    targets = {entry.name: entry for entry in spec.targets}
    compared = rows[rows["reference_source"].notna()][["source", "target"]].drop_duplicates()
    on_itself = spec.redraws_head(kind, same_training=True, same_data=True)
    pairs: Counter[tuple[bool, bool]] = Counter()
    for source, target in compared.itertuples(index=False):
        other_data = sources[source].dataset != targets[target].dataset
        transferred = spec.redraws_head(kind, same_training=False, same_data=not other_data)
        pairs[other_data, transferred != on_itself] += 1
    differing = {other_data for other_data, differs in pairs if differs}
    if not differing:
        return ""
    only = all(differs for _, differs in pairs)
    where = "" if only else "For transfers between data sets " if True in differing else "Within one data set "
    own = f"{where}{OWN}" if where else f"T{OWN[1:]}"
    if on_itself:
        said = f"{own} has its output layer redrawn (diagonal: {spec.diagonal}), while the transferred one keeps it"
    else:
        said = f"{own} keeps its output layer (diagonal: {spec.diagonal}), while the transferred one has it redrawn"
    return f" {said}: part of a difference may be due to that."


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


def _figure(findings: Findings) -> Figure | None:
    compared = matrices(findings)
    return None if compared is None else matrix_figure(findings.name, compared, findings.spec.analysis.margin)


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


def _table(what: str, compared: pd.DataFrame, screen: Screen) -> RichTable:
    from rich.table import Table as RichTable

    title = f"{what}, paired by seed, in points of accuracy"
    table = RichTable(title=title, box=screen.style, title_justify="left", pad_edge=False, caption_justify="left")
    for heading in ("source", "target"):
        table.add_column(heading, overflow="fold")
    for heading in ("left", "difference", "95 % interval", "p (Holm)", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows_of(compared):
        test = ("no test", "") if row.remark else (interval(row), p_value(row.p_holm))
        table.add_row(row.source, row.target, percent_left(row.left), points(row.difference), *test, str(row.n))
    tests = compared.drop_duplicates("left").sort_values("left", ascending=False)
    corrected = [f"{row.tests} with {percent_left(row.left)} left" for row in rows_of(tests)]
    table.caption = f"p: two-sided, Holm-corrected over the tests of a level: {listed(corrected)}"
    return table


SECTION = Section(
    "matrices",
    "Matrices",
    "From which source, to which target",
    _page,
    computed=(COMPARISONS, LEVEL),
    stills={"matrix": _figure},
    lines=_lines,
    turn=1,
    script=True,
)
