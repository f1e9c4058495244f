"""Layerwise sensitivity as charts: accuracy against what remains of one layer, each layer pruned alone."""

from __future__ import annotations

from itertools import product

from pipeline.report.analysis.sensitivity import families
from pipeline.report.charts.chart import CROWD, Axis, Chart, Series
from pipeline.report.charts.curves import dense_level, panel, points_by_curve
from pipeline.report.charts.palette import COLOURS, Line
from pipeline.report.findings import Findings

LEFT_IN_LAYER = Axis("weights remaining in the layer (%)", "left", "%")


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
