"""Learning curves: at the level that the report speaks of, or at several that the grid asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.report.charts.bands import spread_in_words
from pipeline.report.charts.chart import Chart
from pipeline.report.charts.learning_levels import LearningPanels, learning_panels
from pipeline.report.charts.training import learning_curves, learning_level
from pipeline.report.findings import Findings
from pipeline.report.sections.section import Fragment, Section, flat
from pipeline.report.stills.panels import panels_figure
from pipeline.report.wording import percent_left

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _panels(findings: Findings) -> LearningPanels:
    asked = findings.spec.analysis.levels
    return LearningPanels([], []) if asked is None else learning_panels(findings, asked)


def _curves(findings: Findings, level: float | None) -> list[Chart]:
    asked = findings.spec.analysis.levels
    return learning_curves(findings, level) if level is not None and asked is None else []


def _page(findings: Findings) -> Fragment:
    level, panels = learning_level(findings), _panels(findings)
    charts = _curves(findings, level)
    values = {"learning": charts, "learning_panels": panels, "learning_level": level}
    return Fragment(values, [*charts, *flat(panels.rows)])


def learning_figure(findings: Findings) -> Figure | None:
    """Learning curves at the level of the matrices, or a row of panels for each target and source at several levels."""
    spread = spread_in_words(findings.spec.analysis.spread)
    if findings.spec.analysis.levels is not None:
        return _levels_figure(findings, spread)
    level = learning_level(findings)
    charts = _curves(findings, level)
    if level is None or not charts:
        return None
    title = f"{findings.name}: training with {percent_left(level)} of the weights"
    return panels_figure(charts, title + f"\n{spread}" * (findings.spec.analysis.spread == "range"))


def _levels_figure(findings: Findings, spread: str) -> Figure | None:
    panels = _panels(findings)
    if not panels.rows:
        return None
    title = f"{findings.name}: {spread}\ndots: convergence, with the same spread of iterations"
    columns = min(4, max(map(len, panels.rows)))
    return panels_figure(flat(panels.rows), "\n".join([title, *panels.remarks]), columns=columns)


SECTION = Section("learning", "Learning", "Learning curves", _page, stills={"learning": learning_figure})
