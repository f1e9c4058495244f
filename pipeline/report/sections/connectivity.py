"""How tickets connect units: Frankle & Carbin 2018, Figure 10."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.experiment.spec_sides import Source
from pipeline.report.analysis.level_masks import LevelMasks, OutputNames, affordable
from pipeline.report.analysis.packed_masks import Mask, unpacked
from pipeline.report.charts.chart import Axis, Chart, Series, numbers, spelled
from pipeline.report.findings import Findings, Table
from pipeline.report.rows import columns, evenly, groups_of, table_of
from pipeline.report.sections.layers import LAYERS
from pipeline.report.sections.section import LEFT_OUT, Fragment, Section, flat, not_drawn
from pipeline.report.stills.panels import panels_figure
from pipeline.report.wording import listed, percent_left

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LAYERS, MOST_UNITS = 20, 5000
"""Prunable layers of a network, and units of each of them or before it, up to which it is counted."""
TYPES = columns(
    "source: string; level: float64; round: int64; layer: string; position, rank: int64; connected: float64; "
    "units_before, n: int64; to_output: bool"
)

Edges = npt.NDArray[np.bool_]
"""[units, units before]: whether any weight between the two survives."""
Shapes = Mapping[str, tuple[int, ...]]
"""Of the prunable layers in the model's order: [units, units before, *kernel]."""


def connectivity(
    drawn: Collection[LevelMasks], read_mask: Callable[[str], Mask | None], chosen: Collection[str] = ()
) -> pd.DataFrame:
    """One row for each rank of a layer's units (most connected first, from 1) of a source at a level.

    `connected`: with how many of the `units_before` units of the layer before (input pixels or channels, of the first
    layer) the unit of that rank is connected, mean over `n` seeds, ranked within each. Two units, or a filter and a
    channel, are connected where any weight between them survives. `position`: the layer's place, 0, 1, ...

    `to_output`: whether edges without a path to an output are left out, as the paper has it. They are where the layers
    are a chain: each reads as many units as the one before has. Elsewhere (residual branches) all edges count.

    Networks of more than MOST_LAYERS layers or MOST_UNITS units a layer have no rows. `read_mask`: a mask by its
    pruning's key, None where it is not there. `chosen`: sources that prune some layers only, between which others may
    lie; of several such layers all edges count.
    """
    rows: list[list[Any]] = []
    for source in dict.fromkeys(one.source for one in drawn):
        levels = [one for one in drawn if one.source == source]
        shapes = _shapes(levels, read_mask)
        if not shapes or not countable(shapes):
            continue
        chain = is_chain(shapes) and (source not in chosen or len(shapes) == 1)
        for one in levels:
            counts = [sorted_counts(edges, chain) for edges in _edges(one, shapes, read_mask)]
            for position, (name, shape) in enumerate(shapes.items() if counts else ()):
                means = np.mean([of_seed[position] for of_seed in counts], axis=0)
                about = [source, one.level, one.round, name, position]
                rows += [[*about, rank, mean, shape[1], len(counts), chain] for rank, mean in enumerate(means, 1)]
    return table_of(rows, TYPES)


def countable(shapes: Shapes) -> bool:
    """Whether the network is small enough to be counted, and shown."""
    return len(shapes) <= MOST_LAYERS and all(max(shape[:2]) <= MOST_UNITS for shape in shapes.values())


def is_chain(shapes: Shapes) -> bool:
    """Whether each layer reads as many units as the one before it has."""
    return all(after[1] == before[0] for before, after in pairwise(shapes.values()))


def sorted_counts(layers: Sequence[Edges], chain: bool) -> list[npt.NDArray[np.int64]]:
    """Of each layer, with how many units before it each unit is connected, descending.

    `chain`: leave out edges that end at a unit without a path to an output. The units of the last layer have one: they
    are the outputs, or an output layer that is not pruned reads all of them.
    """
    counts = []
    leads_on: Edges = np.ones(len(layers[-1]), dtype=bool)
    for edges in reversed(layers):
        if chain:
            edges = edges & leads_on[:, None]
            leads_on = np.any(edges, axis=0)
        counts.append(np.sort(edges.sum(axis=1, dtype=np.int64))[::-1])
    return counts[::-1]


def _shapes(levels: Collection[LevelMasks], read_mask: Callable[[str], Mask | None]) -> Shapes:
    """From the first mask that is there; nothing where none is."""
    keys = (key for one in levels for key in one.masks.values() if key is not None)
    return next((mask.shapes for mask in map(read_mask, keys) if mask is not None), {})


def _edges(one: LevelMasks, shapes: Shapes, read_mask: Callable[[str], Mask | None]) -> Iterator[list[Edges]]:
    """The edges of each layer, of each seed that has its mask."""
    for key in one.masks.values():
        if key is None:
            yield [np.ones(shape[:2], dtype=bool) for shape in shapes.values()]
        elif (mask := read_mask(key)) is not None and mask.shapes == shapes:
            yield [unpacked(mask, name).reshape(*shape[:2], -1).max(axis=2) for name, shape in shapes.items()]


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

    def of_masks(one: LevelMasks) -> OutputNames:
        return {(key, "mask") for key in one.masks.values() if key is not None and one.source in single}

    drawn = affordable(findings, of_masks, "Connectivity by unit")
    return connectivity(drawn, findings.read.mask, {source.name for source in sources if source.prune.only is not None})


CONNECTIVITY = Table("connectivity", _table, reads_store=True)


def connectivity_charts(findings: Findings) -> list[list[Chart]]:
    """For each source a panel a layer, one line a level: Frankle & Carbin 2018, Figure 10."""
    return [
        [
            _ranks(f"connected-{number}-{place}", source, layer.removesuffix(".weight"), of_layer)
            for place, (layer, of_layer) in enumerate(groups_of(rows, "layer"))
        ]
        for number, (source, rows) in enumerate(groups_of(findings.of(CONNECTIVITY), "source"))
    ]


def _ranks(name: str, source: str, layer: str, rows: pd.DataFrame) -> Chart:
    series = []
    levels = [of_level for _, of_level in groups_of(rows, "level")]
    for place, of_level in enumerate(levels):
        shown = of_level.iloc[evenly(range(len(of_level)), RANKS)]
        left, more = percent_left(float(of_level["level"].iloc[0])), [shown["n"].tolist()]
        one = Series(left, shown["rank"].tolist(), numbers(shown["connected"]), role="step", more=more)
        one.place = place / max(1, len(levels) - 1)
        series.append(one)
    before = int(rows["units_before"].max())
    means = [(one.name, float(of["connected"].mean())) for one, of in zip(series, levels, strict=True)]
    words = (
        f"With how many of {before} units before it each unit of {layer} is connected, tickets of {source}, one line a "
        f"level of weights remaining. Means: {spelled(means, '')}."
    )
    return Chart(name, f"source: {source}, {layer}", words, UNIT, CONNECTED, series, ("n",))


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
    title = f"{findings.name}: connectivity by unit and weights remaining, means over seeds"
    return panels_figure(flat(connectivity_charts(findings)), title)


SECTION = Section(
    "connectivity",
    "Connectivity",
    "Connectivity by unit",
    _page,
    computed=(CONNECTIVITY,),
    stills={"connectivity": connectivity_figure},
)
