"""Layerwise sensitivity: sources that differ in nothing but the layers that they prune (`prune.only`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product, takewhile
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.experiment.layer_names import names_layer
from pipeline.experiment.models import UserModel
from pipeline.experiment.spec import DENSE
from pipeline.report.analysis.comparisons import COMPARISONS
from pipeline.report.charts.chart import CROWD, Axis, Chart, Series
from pipeline.report.charts.columns import spread_in_words
from pipeline.report.charts.curves import dense_level, panel, points_by_curve, seeds_in_words
from pipeline.report.charts.palette import COLOURS, Line
from pipeline.report.findings import Findings, Table
from pipeline.report.rows import columns, records, table_of
from pipeline.report.sections.section import Fragment, Section
from pipeline.report.stills.panels import panels_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipeline.experiment.spec import Spec
    from pipeline.experiment.spec_sides import Source

TYPES = columns(
    "target, ticket, layer, source: string; weights, levels: int64; difference, lowest, lowest_left: float64"
)
EVERY = "all layers"
SIZE = (3, 32, 32)
"""Of images that a built-in model is asked about: the names of its layers depend on none."""


@dataclass(frozen=True, slots=True)
class Family:
    """Sources of one training and one way to prune; `layers`: by source which ones it prunes, in the model's order."""

    layers: Mapping[str, str]

    @property
    def name(self) -> str:
        """A pattern of the names of its sources."""
        names = list(self.layers)
        begin = _beginning(names)
        end = _beginning([name[len(begin) :][::-1] for name in names])[::-1]
        return f"{begin}*{end}"


def families(spec: Spec) -> list[Family]:
    """Sources that differ in `prune.only` alone, several together, in the grid's order.

    A source without `only` among them prunes all layers, and comes last. The layers of a user's own model are in the
    order of the grid.
    """
    alike: dict[str, list[Source]] = {}
    for source in spec.sources:
        shared = source.model_dump_json(exclude={"name": True, "prune": {"only"}, "resources": True})
        alike.setdefault(shared, []).append(source)
    return [
        Family({source.name: _label(source) for source in sorted(members, key=_place)})
        for members in alike.values()
        if len(members) > 1
    ]


def sensitivity(compared: pd.DataFrame, results: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """One row for each (target, ticket, layer) of the families, the most sensitive layer of a target and ticket first.

    `weights`: of the layer. `difference`: test accuracy minus the dense network's, in [-1, 1], paired by seed, mean
    over the `levels` at which the layer is pruned (layers that are pruned to other levels are not to be compared by
    it). `lowest`: the smallest of these differences, at `lowest_left` of the layer's weights. No rows without a dense
    network. `compared`: `comparisons.comparisons`.
    """
    layers = {source: layer for family in families(spec) for source, layer in family.layers.items()}
    sizes = dict(zip(results["source"], results["total"], strict=True))
    pruned = compared[(compared["comparison"] == DENSE) & (compared["fraction_pruned"] > 0) & (compared["n"] > 0)]
    rows = []
    for (target, ticket, source), of_layer in pruned.groupby(["target", "ticket", "source"], sort=False):
        if source in layers:
            lowest = of_layer.sort_values("difference", kind="stable").iloc[0]
            difference = of_layer["difference"].mean()
            about = [target, ticket, layers[source], source, sizes[source], len(of_layer)]
            rows.append([*about, difference, lowest["difference"], lowest["survivors"] / sizes[source]])
    table = table_of(rows, TYPES)
    order = {
        name: place for place, name in enumerate(dict.fromkeys(zip(table["target"], table["ticket"], strict=True)))
    }
    place = [order[name] for name in zip(table["target"], table["ticket"], strict=True)]
    table = table.assign(place=place).sort_values(["place", "difference"], kind="stable")
    return table.drop(columns="place").reset_index(drop=True)


def _beginning(names: Sequence[str]) -> str:
    """What all of `names` begin with."""
    return "".join(
        letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    )


def _label(source: Source) -> str:
    only = source.prune.only
    return EVERY if only is None else ", ".join(pattern.removesuffix(".weight") for pattern in only)


def _place(source: Source) -> int:
    """Of the first layer that the source prunes, in the model's order."""
    if source.prune.only is None:
        return len(_names(source))
    matched = (place for place, name in enumerate(_names(source)) if _is_any(source.prune.only, name))
    return next(matched, 0)


def _is_any(patterns: Sequence[str], name: str) -> bool:
    return any(names_layer(pattern, name) for pattern in patterns)


def _names(source: Source) -> list[str]:
    """Layers of a built-in model; those of a user's are known to its file alone, which need not be here."""
    return [] if isinstance(source.model, UserModel) else [name for name, _ in source.model.recipe().layers(SIZE, 2)]


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
