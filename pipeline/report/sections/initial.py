"""What surviving connections started from: Frankle & Carbin 2018, Figure 9."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.experiment.spec_sides import Source
from pipeline.lottery.counting import count_of
from pipeline.recipes.steps import Steps
from pipeline.report.analysis.level_masks import LEVEL_MASKS, LevelMasks, OutputNames, affordable
from pipeline.report.analysis.packed_masks import Mask, unpacked
from pipeline.report.charts.chart import Axis, Chart, Series, numbers, spelled
from pipeline.report.charts.palette import COLOURS, Line
from pipeline.report.findings import Findings, Table
from pipeline.report.rows import columns, groups_of, table_of
from pipeline.report.sections.section import LEFT_OUT, Fragment, Section, flat, not_drawn
from pipeline.report.stills.panels import panels_figure
from pipeline.report.wording import listed, percent_left

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 60
TYPES = columns(
    "source: string; level: float64; round: int64; layer: string; position: int64; low, high: float64; count, n: int64"
)

Weights = Mapping[str, npt.NDArray[np.float32]]
"""Arrays of any shape by the layer's name."""


def starting_weights(data: bytes, layers: Collection[str]) -> Weights:
    """Those layers of a file of the store that holds weights (`lottery.files.save_weights`).

    Raises ValueError where the file is damaged, something else, or lacks one of the layers.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        return {name: arrays[name] for name in layers}
    except (SafetensorError, KeyError) as error:  # KeyError: a layer is not there, or a type that numpy lacks
        raise ValueError(f"Not the weights of these layers, or damaged ({len(data)} bytes): {error}") from error


def initial_weights(
    drawn: Collection[LevelMasks],
    layers: Mapping[str, Sequence[str]],
    read_start: Callable[[str, int], Weights | None],
    read_mask: Callable[[str], Mask | None],
) -> pd.DataFrame:
    """One row for each bin of each layer (prunable, in the model's order: `position` 0, 1, ...) of a source and level.

    `count`: surviving weights whose value before training is in [low, high) (the last bin: [low, high]), over `n` seeds
    together. The BINS bins of a source are the same at all levels and in all layers: they divide the range of all its
    starting weights. Divided by the layer's sum and by the width of a bin, counts are a density.

    `layers`: of each source; `read_start`: its weights by source and seed, None where they are not there; `read_mask`:
    a mask by its pruning's key, None where it is not there. Weights of one seed are held at a time.
    """
    rows: list[list[Any]] = []
    for source in dict.fromkeys(one.source for one in drawn):
        levels = [one for one in drawn if one.source == source]
        seeds = sorted({seed for one in levels for seed in one.masks})
        edges = _edges(read_start(source, seed) for seed in seeds)
        if edges is None:
            continue
        names = layers.get(source, ())
        counts = np.zeros((len(levels), len(names), BINS), dtype=np.int64)
        n = [0] * len(levels)
        for seed in seeds:
            start = read_start(source, seed)
            for place, one in enumerate(levels):
                kept = _survivors(start, names, one, seed, read_mask)
                n[place] += bool(kept)
                for position, values in enumerate(kept):
                    counts[place, position] += np.histogram(values, edges)[0]
        for one, of_level, seeds_there in zip(levels, counts, n, strict=True):
            for position, name in enumerate(names if seeds_there else ()):
                bins = zip(edges[:-1], edges[1:], of_level[position], strict=True)
                rows += [[source, one.level, one.round, name, position, *of_bin, seeds_there] for of_bin in bins]
    return table_of(rows, TYPES)


def _edges(starts: Iterable[Weights | None]) -> npt.NDArray[np.float64] | None:
    """BINS + 1 edges over the finite values of all weights; None where there are none, or all are equal."""
    ends = [end for start in starts if start is not None for values in start.values() for end in _ends(values)]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    return np.linspace(low, high, BINS + 1) if low < high else None


def _ends(values: npt.NDArray[np.float32]) -> tuple[float, ...]:
    """The least and the greatest finite value; nothing where there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else ()


def _survivors(
    start: Weights | None, names: Sequence[str], one: LevelMasks, seed: int, read_mask: Callable[[str], Mask | None]
) -> list[npt.NDArray[np.float32]]:
    """Values of the surviving weights of each layer; none where weights or mask are not there, or do not fit."""
    if start is None or seed not in one.masks:
        return []
    key = one.masks[seed]
    if key is None:
        return [start[name].reshape(-1) for name in names]
    mask = read_mask(key)
    if mask is None or any(mask.shapes.get(name) != start[name].shape for name in names):
        return []
    return [start[name][unpacked(mask, name)] for name in names]


VALUE, DENSITY = Axis("starting weight"), Axis("density of surviving weights")
MOST_LAYERS = 20
"""Layers up to which histograms are drawn: more lines in a panel cannot be told apart."""


def _table(findings: Findings) -> pd.DataFrame:
    """Sources whose starting weights are not kept, or which train on instead of rewinding, are not in it.

    Each round of the latter starts from other weights.
    """
    read = findings.read
    starts = read.grid.starts
    pruned = (
        (one.source, read.snapshot.record(key)) for one in findings.of(LEVEL_MASKS) for key in one.masks.values() if key
    )
    # from records: a grid that is remembered by its name has stages without their fields
    layers = {source: record["fields"]["layers"] for source, record in pruned if record is not None}
    rewinding = {source.name for source in findings.spec.sources if source.prune.rewind != "none"}

    def of_starts(one: LevelMasks) -> OutputNames:
        places = (starts.get((one.source, seed)) for seed in one.masks)
        return {(at.stage, at.output) for at in places if at is not None and one.source in rewinding}

    def read_start(source: str, seed: int) -> Weights | None:
        at = starts.get((source, seed))
        data = None if at is None else read.outputs.read(at.stage, at.output)
        try:
            return None if data is None else starting_weights(data, layers.get(source, ()))
        except ValueError:  # whole, and of another version
            return None

    drawn = affordable(findings, of_starts, "Initial weights that survive")
    return initial_weights(drawn, layers, read_start, read.mask)


INITIAL_WEIGHTS = Table("initial_weights", _table, reads_store=True)


def initial_weight_charts(findings: Findings) -> list[list[Chart]]:
    """For each source a panel a level, one line a layer: Frankle & Carbin 2018, Figure 9.

    All panels of a source have the same x. Sources of more than MOST_LAYERS prunable layers have none.
    """
    charts = []
    for number, (source, rows) in enumerate(groups_of(findings.of(INITIAL_WEIGHTS), "source")):
        if rows["position"].nunique() <= MOST_LAYERS:
            levels = enumerate(groups_of(rows, "level"))
            charts.append([_histograms(f"initial-{number}-{place}", source, of) for place, (_, of) in levels])
    return charts


def _histograms(name: str, source: str, rows: pd.DataFrame) -> Chart:
    left = percent_left(float(rows["level"].iloc[0]))
    series, spreads = [], []
    for place, (layer, of_layer) in enumerate(groups_of(rows, "layer")):
        count = of_layer["count"].to_numpy()
        if not count.sum():
            continue
        low, high = of_layer["low"].to_numpy(), of_layer["high"].to_numpy()
        density = count / (count.sum() * (high - low))
        label = layer.removesuffix(".weight")
        line = Line(source, "", label, place % len(COLOURS), place // len(COLOURS), False, False)
        middles, more = numbers((low + high) / 2), [count.tolist()]
        series.append(Series(label, middles, numbers(density), line, role="histogram", more=more))
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


def about_initial_weights(findings: Findings) -> str:
    """When surviving connections had the values that are drawn, as a clause."""
    shown = set(findings.of(INITIAL_WEIGHTS)["source"])
    moments = dict.fromkeys(str(source.prune.rewind) for source in findings.spec.sources if source.name in shown)
    return f"at {listed(list(moments))} of round 0"


def no_initial_weights(findings: Findings) -> str:
    """Why some sources have no charts; empty where all have."""
    table = findings.of(INITIAL_WEIGHTS)
    layers = table.groupby("source")["position"].nunique().to_dict()

    def reason(source: Source) -> str:
        if source.name in layers:
            crowded = layers[source.name] > MOST_LAYERS
            return f"more than {MOST_LAYERS} prunable layers: initial_weights.csv has them" if crowded else ""
        if source.prune.rewind == "none":
            return "trained on instead of rewound, each round starts from other weights"
        if source.prune.rewind == Steps() and not findings.spec.retention.initialization:
            return "the weights that tickets start from are not kept (retention: {initialization: true} keeps them)"
        return f"masks or the weights that tickets start from are not there yet, or {LEFT_OUT}"

    return not_drawn(findings, reason)


def _page(findings: Findings) -> Fragment:
    charts = initial_weight_charts(findings)
    values = {"initial": charts, "start": about_initial_weights(findings), "without": no_initial_weights(findings)}
    return Fragment(values, flat(charts))


def initial_weights_figure(findings: Findings) -> Figure | None:
    """Frankle & Carbin 2018, Figure 9: what surviving connections started from; a panel a level."""
    title = f"{findings.name}: initial weights that survive, by layer, all seeds together"
    return panels_figure(flat(initial_weight_charts(findings)), title)


SECTION = Section(
    "initial",
    "Initial weights",
    "Initial weights that survive",
    _page,
    computed=(INITIAL_WEIGHTS,),
    stills={"initial_weights": initial_weights_figure},
)
