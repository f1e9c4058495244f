"""From the store to what is inside tickets: what their connections started from, and how they connect units."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from pipeline.engine.store import Snapshot
from pipeline.experiment.grid import Grid
from pipeline.experiment.models import Perceptron
from pipeline.report.analysis.connectivity import connectivity
from pipeline.report.analysis.drawn_masks import Drawn, drawn_masks
from pipeline.report.analysis.initial_weights import Weights, initial_weights, starting_weights
from pipeline.report.analysis.packed_masks import Mask
from pipeline.report.sound_outputs import SoundOutputs
from pipeline.report.wording import listed

BYTES = 1 << 30
"""Of starting weights, and of masks, that are read; sources beyond that are left out."""

Outputs = set[tuple[str, str]]
"""(stage, output) of files of the store."""


def inside_tickets(
    grid: Grid,
    results: pd.DataFrame,
    outputs: SoundOutputs,
    snapshot: Snapshot,
    read_mask: Callable[[str], Mask | None],
    notes: list[str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `initial_weights` and `connectivity`.

    Sources whose starting weights are not kept, or which train on instead of rewinding (each of their rounds starts
    from others), are not in the first; those of many networks at once not in the second.
    """
    drawn = drawn_masks(results, grid.spec)
    pruned = ((one.source, snapshot.record(key)) for one in drawn for key in one.masks.values() if key)
    # from records: a grid that is remembered by its name has stages without their fields
    layers = {source: record["fields"]["layers"] for source, record in pruned if record is not None}
    rewinding = {source.name for source in grid.spec.sources if source.prune.rewind != "none"}
    single = {source.name for source in grid.spec.sources if not isinstance(source.model, Perceptron)}

    def of_starts(one: Drawn) -> Outputs:
        places = (grid.starts.get((one.source, seed)) for seed in one.masks)
        return {(at.stage, at.output) for at in places if at is not None and one.source in rewinding}

    def of_masks(one: Drawn) -> Outputs:
        return {(key, "mask") for key in one.masks.values() if key is not None and one.source in single}

    def read_start(source: str, seed: int) -> Weights | None:
        at = grid.starts.get((source, seed))
        data = None if at is None else outputs.read(at.stage, at.output)
        try:
            return None if data is None else starting_weights(data, layers.get(source, ()))
        except ValueError:  # whole, and of another version
            return None

    with_starts = _affordable(drawn, of_starts, snapshot, "Initial weights that survive", notes)
    with_masks = _affordable(drawn, of_masks, snapshot, "Connectivity by unit", notes)
    chosen = {source.name for source in grid.spec.sources if source.prune.only is not None}
    return initial_weights(with_starts, layers, read_start, read_mask), connectivity(with_masks, read_mask, chosen)


def _affordable(
    drawn: list[Drawn], needed: Callable[[Drawn], Outputs], snapshot: Snapshot, what: str, notes: list[str]
) -> list[Drawn]:
    """Those of the first sources, as many as BYTES are enough for; a note names the others. None that need nothing."""
    kept: list[Drawn] = []
    left, out = BYTES, []
    for source in dict.fromkeys(one.source for one in drawn):
        of_source = [one for one in drawn if one.source == source]
        outputs = set().union(*map(needed, of_source))
        size = sum(_size(snapshot, *output) for output in outputs)
        if size > left:
            out.append(source)
        elif outputs:
            left -= size
            kept += of_source
    if out:
        notes.append(f"{what}: not of {listed(out)}, which would be more than {BYTES >> 30} GiB to read.")
    return kept


def _size(snapshot: Snapshot, stage: str, output: str) -> int:
    record = snapshot.record(stage)
    return int(record["outputs"].get(output, {}).get("size", 0)) if record else 0
