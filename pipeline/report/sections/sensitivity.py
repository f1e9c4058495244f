"""Layerwise sensitivity: accuracy against what remains of one layer, each layer pruned alone."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from pipeline.report.analysis.comparisons import COMPARISONS
from pipeline.report.analysis.sensitivity import families, sensitivity
from pipeline.report.charts.bands import spread_in_words
from pipeline.report.charts.chart import CROWD, Axis, Chart, Series
from pipeline.report.charts.curves import dense_level, panel, points_by_curve, seeds_in_words
from pipeline.report.charts.palette import COLOURS, Line
from pipeline.report.findings import Findings, Table
from pipeline.report.sections.section import Fragment, Section
from pipeline.report.stills.panels import panels_figure
from pipeline.report.wording import records

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEFT_IN_LAYER = Axis("weights remaining in the layer (%)", "left", "%")
SENSITIVITY = Table(
    "sensitivity",
    lambda findings: sensitivity(findings.of(COMPARISONS), findings.results, findings.spec),
)


def sensitivity_charts(findings: Findings) -> list[Chart]:
    """A panel for each target and ticket of a family of sources, one line a layer in the model's order.

    Few layers have a colour each; many are an ordered family, the darker the closer to the output, without bands, which
    would hide the lines.
    """
    known = families(findings.spec)
    if not known:
        return []
    points, groups = points_by_curve(findings)
    tickets = [ticket.name for ticket in findings.spec.tickets]
    charts: list[Chart] = []
    for target, family, ticket in product(dict.fromkeys(findings.results["target"]), known, tickets):
        series = [
            _dressed(points.series(layer, groups[target, source, ticket]), source, place, len(family.layers))
            for place, (source, layer) in enumerate(family.layers.items())
            if (target, source, ticket) in groups
        ]
        if series:
            title = [f"target: {target}", *[family.name] * (len(known) > 1), *[ticket] * (len(tickets) > 1)]
            dense, spread = dense_level(points, groups, target), findings.spec.analysis.spread
            about = (), "layers pruned alone", LEFT_IN_LAYER, ", ".join(title)
            charts.append(panel(f"sensitivity-{len(charts)}", target, series, dense, spread, *about))
    return charts


def _dressed(one: Series, source: str, place: int, count: int) -> Series:
    """`one` with the look of the layer at `place` of `count`."""
    if count > CROWD:
        one.role, one.place = "step", place / (count - 1)
        one.spread = one.low = one.high = None
    else:
        one.line = Line(source, "", one.name, place % len(COLOURS), place // len(COLOURS), False, True)
    return one


def _page(findings: Findings) -> Fragment | None:
    charts = sensitivity_charts(findings)
    if not charts:
        return None
    return Fragment({"sensitivity": charts, "sensitive_layers": records(findings.of(SENSITIVITY))}, charts)


def sensitivity_figure(findings: Findings) -> Figure | None:
    """Test accuracy against what remains of one layer, where each is pruned alone; a panel a target."""
    charts = sensitivity_charts(findings)
    if not charts:
        return None
    spread = spread_in_words(findings.spec.analysis.spread)
    return panels_figure(charts, f"{findings.name}: each layer pruned alone\n{spread}, {seeds_in_words(findings)}")


SECTION = Section(
    "sensitivity",
    "Sensitivity",
    "Layerwise sensitivity",
    _page,
    computed=(SENSITIVITY,),
    stills={"sensitivity": sensitivity_figure},
)
