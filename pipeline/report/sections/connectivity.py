"""How tickets connect units: Frankle & Carbin 2018, Figure 10."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.experiment.spec_sides import Source
from pipeline.report.analysis.connectivity import MOST_LAYERS, MOST_UNITS, connectivity
from pipeline.report.analysis.drawn_masks import Drawn, Outputs, affordable
from pipeline.report.analysis.layers import LAYERS
from pipeline.report.charts.chart import Axis, Chart, Series, numbers, spelled
from pipeline.report.findings import Findings, Table
from pipeline.report.sections.section import LEFT_OUT, Fragment, Section, flat, not_drawn
from pipeline.report.stills.panels import panels_figure
from pipeline.report.wording import listed, percent_left

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNIT, CONNECTED = Axis("unit, the most connected first"), Axis("connected units before it")
RANKS = 100
"""Units drawn of a layer: more cannot be told apart on a panel."""
FOLLOWED = (
    "Edges without a path to an output are left out; the path is followed through the layers in their order, each of "
    "which reads as many units as the one before has."
)
AS_THEY_ARE = "All edges count, also those without a path to an output: the layers are no plain chain"


def _table(findings: Findings) -> pd.DataFrame:
    """Without sources of many networks at once."""
    sources = findings.spec.sources
    single = {source.name for source in sources if source.model.name != "perceptron"}

    def of_masks(one: Drawn) -> Outputs:
        return {(key, "mask") for key in one.masks.values() if key is not None and one.source in single}

    drawn = affordable(findings, of_masks, "Connectivity by unit")
    return connectivity(drawn, findings.read.mask, {source.name for source in sources if source.prune.only is not None})


CONNECTIVITY = Table("connectivity", _table, reads_store=True)


def connectivity_charts(findings: Findings) -> list[list[Chart]]:
    """For each source a panel a layer, one line a level: Frankle & Carbin 2018, Figure 10."""
    return [
        [
            _ranks(f"connected-{number}-{place}", source, layer.removesuffix(".weight"), of_layer)
            for place, (layer, of_layer) in enumerate(_by(rows, "layer"))
        ]
        for number, (source, rows) in enumerate(_by(findings.of(CONNECTIVITY), "source"))
    ]


def _ranks(name: str, source: str, layer: str, rows: pd.DataFrame) -> Chart:
    series = []
    levels = [of_level for _, of_level in _by(rows, "level")]
    for place, of_level in enumerate(levels):
        shown = of_level.iloc[np.unique(np.linspace(0, len(of_level) - 1, RANKS).round().astype(int))]
        one = Series(
            percent_left(float(of_level["level"].iloc[0])),
            shown["rank"].tolist(),
            numbers(shown["connected"]),
            role="step",
        )
        one.place = place / max(1, len(levels) - 1)
        one.more = [shown["n"].tolist()]
        series.append(one)
    before = int(rows["units_before"].max())
    means = [(one.name, float(of["connected"].mean())) for one, of in zip(series, levels, strict=True)]
    words = (
        f"With how many of {before} units before it each unit of {layer} is connected, tickets of {source}, one line a "
        f"level of weights remaining. Means: {spelled(means, '')}."
    )
    return Chart(name, f"source: {source}, {layer}", words, UNIT, CONNECTED, series, ("n",))


def _by(table: pd.DataFrame, column: str) -> Iterator[tuple[str, pd.DataFrame]]:
    for name, rows in table.groupby(column, sort=False):
        yield str(name), rows


def about_connectivity(findings: Findings) -> tuple[str, str]:
    """Which edges count; and why some sources have no charts, empty where all have."""
    table = findings.of(CONNECTIVITY)
    followed = table.groupby("source", sort=False)["to_output"].first()
    branching = [str(source) for source in followed.index[~followed.astype(bool)]]
    edges = f"{AS_THEY_ARE}." if len(branching) == len(followed) else FOLLOWED
    if 0 < len(branching) < len(followed):
        edges += f" Of {listed(branching)}: {AS_THEY_ARE[0].lower()}{AS_THEY_ARE[1:]}."
    layers = findings.of(LAYERS)
    pruned = set(layers.loc[layers["round"] > 0, "source"])

    def reason(source: Source) -> str:
        if source.name in followed.index:
            return ""
        if source.model.name == "perceptron":
            return "many networks are trained at once, each with connections of its own"
        if source.name not in pruned:
            return "no mask has been made yet"
        return f"there are more than {MOST_LAYERS} prunable layers or {MOST_UNITS:,} units in one, or {LEFT_OUT}"

    return edges, not_drawn(findings, reason)


def _page(findings: Findings) -> Fragment:
    charts, (edges, without) = connectivity_charts(findings), about_connectivity(findings)
    return Fragment({"connected": charts, "edges": edges, "without": without}, flat(charts))


def connectivity_figure(findings: Findings) -> Figure | None:
    """Frankle & Carbin 2018, Figure 10: units that each unit is connected to; a panel a layer."""
    charts = flat(connectivity_charts(findings))
    title = f"{findings.name}: connectivity by unit and weights remaining, means over seeds"
    return panels_figure(charts, title) if charts else None


SECTION = Section(
    "connectivity",
    "Connectivity",
    "Connectivity by unit",
    _page,
    computed=(CONNECTIVITY,),
    stills={"connectivity": connectivity_figure},
)
