"""Which files of a store an experiment takes along."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.engine.archive.manifest import Carried
from pipeline.engine.store import Snapshot, records
from pipeline.engine.store.records import Output
from pipeline.experiment.grid import Grid


@dataclass(frozen=True)
class Choice:
    """Records as the archive has them: what is not taken along is marked as removed."""

    records: Mapping[str, bytes]
    """By key of the stage: the bytes of `done/<key>.json`."""
    payloads: Mapping[str, tuple[str, str, Output]]
    """By path: the key of the stage, the output, and the entry of its record."""
    lost: int
    """Outputs that should be taken along, and that the store has lost."""


def choose(grid: Grid, snapshot: Snapshot, carried: Carried) -> Choice:
    """What `carried` means for the stages of `grid` that are done.

    `tickets` are masks and histories, what a run keeps, and what a stage reads that is not done yet: with them another
    machine goes on where this one stopped.
    """
    kept: dict[str, set[str]] = defaultdict(set)
    if carried == "tickets":
        for key, outputs in grid.keep.items():
            kept[key] |= outputs
        for key, stage in grid.stages.items():
            for read in stage.inputs.values() if not snapshot.done(key) else ():
                kept[read.stage].add(read.output)
    chosen: dict[str, bytes] = {}
    payloads: dict[str, tuple[str, str, Output]] = {}
    lost = 0
    for key in grid.stages:
        record = snapshot.record(key)
        if record is None:
            continue
        always = {"history"} if carried == "results" else {"history", "mask", *kept[key]}
        taken: dict[str, Output] = {}
        for name, entry in record["outputs"].items():
            taken[name] = Output(collected=True)
            if "path" in entry and (carried == "weights" or name in always):
                if snapshot.available(key, name):
                    taken[name] = entry
                    payloads[entry["path"]] = key, name, entry
                else:
                    lost += 1
        chosen[key] = records.encode({**record, "outputs": taken})
    return Choice(chosen, payloads, lost)
