"""What surviving connections started from: Frankle & Carbin 2018, Figure 9."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.report.analysis.drawn_masks import Drawn
from pipeline.report.analysis.packed_masks import Mask, unpacked

BINS = 60
COLUMNS = ["source", "level", "round", "layer", "position", "low", "high", "count", "n"]
TYPES = {
    **dict.fromkeys(["source", "layer"], "string"),
    **dict.fromkeys(["round", "position", "count", "n"], "int64"),
    **dict.fromkeys(["level", "low", "high"], "float64"),
}

Weights = Mapping[str, npt.NDArray[Any]]
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
    drawn: Collection[Drawn],
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
    return pd.DataFrame(rows, columns=COLUMNS).astype(TYPES)


def _edges(starts: Iterable[Weights | None]) -> npt.NDArray[np.float64] | None:
    """BINS + 1 edges over the finite values of all weights; None where there are none, or all are equal."""
    ends = [end for start in starts if start is not None for values in start.values() for end in _ends(values)]
    low, high = min(ends, default=0.0), max(ends, default=0.0)
    return np.linspace(low, high, BINS + 1) if low < high else None


def _ends(values: npt.NDArray[Any]) -> tuple[float, ...]:
    """The least and the greatest finite value; nothing where there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else ()


def _survivors(
    start: Weights | None, names: Sequence[str], one: Drawn, seed: int, read_mask: Callable[[str], Mask | None]
) -> list[npt.NDArray[Any]]:
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
