"""Charts of what is inside tickets: what their connections started from, and how they connect units."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.lottery.counting import count_of
from pipeline.report.charts.chart import Axis, Chart, Series, numbers, spelled
from pipeline.report.charts.palette import COLOURS, Line
from pipeline.report.findings import Findings
from pipeline.report.wording import percent_left

VALUE, DENSITY = Axis("starting weight"), Axis("density of surviving weights")
UNIT, CONNECTED = Axis("unit, the most connected first"), Axis("connected units before it")
MOST_LAYERS = 20
"""Layers up to which histograms are drawn: more lines in a panel cannot be told apart."""
RANKS = 100
"""Units drawn of a layer: more cannot be told apart on a panel."""


def initial_weight_charts(findings: Findings) -> list[list[Chart]]:
    """For each source a panel a level, one line a layer: Frankle & Carbin 2018, Figure 9.

    All panels of a source have the same x. Sources of more than MOST_LAYERS prunable layers have none.
    """
    charts = []
    for number, (source, rows) in enumerate(_by(findings.initial_weights, "source")):
        if rows["position"].nunique() <= MOST_LAYERS:
            levels = enumerate(_by(rows, "level"))
            charts.append([_histograms(f"initial-{number}-{place}", source, of) for place, (_, of) in levels])
    return charts


def connectivity_charts(findings: Findings) -> list[list[Chart]]:
    """For each source a panel a layer, one line a level: Frankle & Carbin 2018, Figure 10."""
    return [
        [
            _ranks(f"connected-{number}-{place}", source, layer.removesuffix(".weight"), of_layer)
            for place, (layer, of_layer) in enumerate(_by(rows, "layer"))
        ]
        for number, (source, rows) in enumerate(_by(findings.connectivity, "source"))
    ]


def _histograms(name: str, source: str, rows: pd.DataFrame) -> Chart:
    left = percent_left(float(rows["level"].iloc[0]))
    series, spreads = [], []
    for place, (layer, of_layer) in enumerate(_by(rows, "layer")):
        count = of_layer["count"].to_numpy()
        if not count.sum():
            continue
        low, high = of_layer["low"].to_numpy(), of_layer["high"].to_numpy()
        density = count / (count.sum() * (high - low))
        label = layer.removesuffix(".weight")
        line = Line(source, "", label, place % len(COLOURS), place // len(COLOURS), False, False)
        one = Series(label, numbers((low + high) / 2), numbers(density), line, role="histogram")
        one.more = [count.tolist()]
        series.append(one)
        spreads.append((label, _std(count, (low + high) / 2)))
    n = int(rows["n"].max())
    words = (
        f"Starting weights of the connections of {source} that survive with {left} of the weights, one "
        f"line a layer, {count_of(n, 'seed')} together. Standard deviations: {spelled(spreads, '')}."
    )
    return Chart(name, f"source: {source}, {left} remaining", words, VALUE, DENSITY, series, ("weights",))


def _std(count: npt.NDArray[np.int64], middle: npt.NDArray[np.float64]) -> float:
    mean = np.average(middle, weights=count)
    return float(np.sqrt(np.average((middle - mean) ** 2, weights=count)))


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
