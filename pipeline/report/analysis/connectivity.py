"""How many units of the layer before each unit is connected to: Frankle & Carbin 2018, Figure 10."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.report.analysis.drawn_masks import Drawn
from pipeline.report.analysis.packed_masks import Mask, unpacked

MOST_LAYERS, MOST_UNITS = 20, 5000
"""Prunable layers of a network, and units of each of them or before it, up to which it is counted."""
COLUMNS = ["source", "level", "round", "layer", "position", "rank", "connected", "units_before", "n", "to_output"]
TYPES = {
    **dict.fromkeys(["source", "layer"], "string"),
    **dict.fromkeys(["round", "position", "rank", "units_before", "n"], "int64"),
    **dict.fromkeys(["level", "connected"], "float64"),
    "to_output": "bool",
}

Edges = npt.NDArray[np.bool_]
"""[units, units before]: whether any weight between the two survives."""
Shapes = Mapping[str, tuple[int, ...]]
"""Of the prunable layers in the model's order: [units, units before, *kernel]."""


def connectivity(
    drawn: Collection[Drawn], read_mask: Callable[[str], Mask | None], chosen: Collection[str] = ()
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
    return pd.DataFrame(rows, columns=COLUMNS).astype(TYPES)


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


def _shapes(levels: Collection[Drawn], read_mask: Callable[[str], Mask | None]) -> Shapes:
    """From the first mask that is there; nothing where none is."""
    keys = (key for one in levels for key in one.masks.values() if key is not None)
    return next((mask.shapes for mask in map(read_mask, keys) if mask is not None), {})


def _edges(one: Drawn, shapes: Shapes, read_mask: Callable[[str], Mask | None]) -> Iterator[list[Edges]]:
    """The edges of each layer, of each seed that has its mask."""
    for key in one.masks.values():
        if key is None:
            yield [np.ones(shape[:2], dtype=bool) for shape in shapes.values()]
        elif (mask := read_mask(key)) is not None and mask.shapes == shapes:
            yield [unpacked(mask, name).reshape(*shape[:2], -1).max(axis=2) for name, shape in shapes.items()]
