"""What a section of the report is: one finding, wherever it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.experiment.spec_sides import Source
from pipeline.report.charts.chart import Chart
from pipeline.report.findings import Computed, Findings
from pipeline.report.wording import listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.box import Box
    from rich.console import RenderableType

Still = Callable[[Findings], "Figure | None"]
LAST = 9
LEFT_OUT = "“What this report leaves out” names it"
"""Said of what a note names."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A section on the page: `values` of its template, its `charts`, and further `data` for the page's scripts."""

    values: Mapping[str, object]
    charts: Sequence[Chart] = ()
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Screen:
    """The terminal: `style` of its tables, and columns."""

    style: Box
    width: int


@dataclass(frozen=True, slots=True)
class Section:
    """One finding. Its place on the page is its place in `order.SECTIONS`."""

    name: str
    """Of its module and of its template beside it, `NAME.html.j2`."""
    short: str
    """What the page's navigation calls it."""
    heading: str
    page: Callable[[Findings], Fragment | None]
    """None where the page has no such section."""
    computed: tuple[Computed[Any], ...] = ()
    """What it adds to the findings; tables among it are written to disk."""
    stills: Mapping[str, Still] = field(default_factory=dict)
    """Figures by the name of their files; None where there is nothing to draw."""
    lines: Callable[[Findings, Screen], Iterable[RenderableType]] | None = None
    """What the terminal says."""
    template: str = ""
    """The template itself, of a section whose few words need no file of their own."""
    script: bool = False
    """Whether the page runs a script of its own, `NAME.js` beside its module."""
    banner: Callable[[Findings], str] | None = None
    """What it adds to the first lines of the page; empty where that is nothing."""
    turn: int = LAST
    """Of its lines in the terminal; those of one turn are in the page's order."""

    @property
    def id(self) -> str:
        """Its anchor on the page."""
        return self.name.replace("_", "-")


def flat(rows: Iterable[Iterable[Chart]]) -> list[Chart]:
    """The charts of rows of them."""
    return [chart for row in rows for chart in row]


def not_drawn(findings: Findings, reason: Callable[[Source], str]) -> str:
    """A sentence for each reason why sources have no charts, with those that have it; "" is no reason."""
    sources: dict[str, list[str]] = {}
    for source in findings.spec.sources:
        sources.setdefault(reason(source), []).append(source.name)
    sources.pop("", None)
    return " ".join(f"Not drawn for {listed(names)}: {why}." for why, names in sources.items())
