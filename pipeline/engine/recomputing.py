"""A store is checked by doing some of its stages again, in a store of their own, and comparing every bit."""

import math
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.engine.addresses import Address
from pipeline.engine.bit_checks import Check, remember_check
from pipeline.engine.lanes.leases import Lease
from pipeline.engine.lanes.workplace import Workplace
from pipeline.engine.presence import Presence
from pipeline.engine.provenance import driver_id, hardware, that_decides_bits, versions
from pipeline.engine.store import CorruptOutput, MissingOutput, Snapshot, Store, layout, records
from pipeline.engine.store.drivers import DriverStatus
from pipeline.engine.store.records import Record
from pipeline.experiment.stages import Shape, Stage, make_stage
from pipeline.recipes.errors import UnfitError
from pipeline.recipes.recipe import recipe_from
from pipeline.recipes.training import Train


@dataclass
class Recomputed:
    """What came of it."""

    differing: dict[str, list[str]] = field(default_factory=dict)
    """By key of each stage that was done again, as in `Check`."""
    failed: dict[str, str] = field(default_factory=dict)
    """Stages that could not be done again here -> why."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Why stages were none to choose from -> how many."""
    eligible: int = 0
    compared: Counter[str] = field(default_factory=Counter)
    """Outputs by name whose bits were compared; those that were removed cannot be."""


def recompute(
    store: Store,
    share: float,
    seed: int,
    data_root: Path,
    keys: Collection[str] | None = None,
    known: Mapping[str, Stage] | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> Recomputed:
    """Do a random `share` (of 1) of the stages again that this machine can do: at least one.

    `keys`: of these alone; `known`: stages of grids whose files are here, which say where data and models of the
    user's own lie. Only stages that were made on hardware of this class are chosen: others need not come to the same
    bits. What is equal and what is not is remembered in the store. The same seed chooses the same stages.
    """
    snapshot = store.snapshot()
    found, known = Recomputed(), known or {}
    stages: dict[str, Stage] = {}
    for key in sorted(snapshot):
        if keys is not None and key not in keys:
            continue
        stage, why = _stage(key, snapshot, known)
        record = snapshot.record(key)
        if record is not None and not any("sha256" in entry for entry in record["outputs"].values()):
            stage, why = None, "of which no output is left to compare"
        if stage is None:
            found.left_out[why] = found.left_out.get(why, 0) + 1
        else:
            stages[key] = stage
    found.eligible = len(stages)
    chosen = random.Random(seed).sample(sorted(stages), math.ceil(share * len(stages))) if stages else []
    with tempfile.TemporaryDirectory(prefix="recompute-") as folder:
        scratch = _Scratch(store, snapshot, Store(folder), str(data_root.absolute()), known, found)
        try:
            with Presence(scratch.store, scratch.driver, lambda: DriverStatus(experiment="tickets verify")):
                for number, key in enumerate(sorted(chosen), start=1):
                    say(f"{number} of {len(chosen)}: {stages[key].label}")
                    scratch.make(stages[key])
        finally:
            if found.differing:
                here = that_decides_bits(hardware("cuda:0" if _has_gpu() else "cpu"))
                check = Check(at=time.time(), hardware=here, versions=versions(), checked=found.differing)
                remember_check(store, check)
    return found


def _stage(key: str, snapshot: Snapshot, known: Mapping[str, Stage]) -> tuple[Stage | None, str]:
    """The stage of a record, or why it cannot be done again here."""
    record = snapshot.record(key)
    assert record is not None
    made_on = that_decides_bits(record.get("hardware", {}))
    here = that_decides_bits(hardware("cuda:0" if "gpu" in made_on and _has_gpu() else "cpu"))
    if made_on != here:
        described = ", ".join(f"{name} {value}" for name, value in sorted(made_on.items())) or "unknown hardware"
        return None, f"made on other hardware ({described}), so that bits cannot be compared"
    try:
        recipe = recipe_from(record["fields"])
    except UnfitError as error:
        return None, str(error)
    if isinstance(recipe, Train):
        if recipe.configuration.world_size > 1:
            return None, "made by several workers at once"
        if key not in known and _is_users(record):
            return None, "of data or code of the user's own: name the grid's file"
    if key in known:
        return known[key], ""
    shape = Shape(gpus_per_worker=record.get("gpus_per_worker", 0.0))
    return make_stage(recipe, label=record.get("label", key[:12]), shape=shape), ""


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _is_users(record: Record) -> bool:
    """Whether a file of the user's is needed that no record says the place of."""
    fields = record["fields"]
    named = [fields.get("data", {}), fields.get("model", {}), fields.get("criterion", {})]
    return any(each.get("name") in ("user", "parquet", "images") for each in named)


@dataclass
class _Scratch:
    """Stages that are done again, with copies of what they read."""

    of: Store
    snapshot: Snapshot
    store: Store
    data_root: str
    known: Mapping[str, Stage]
    found: Recomputed
    driver: str = field(default_factory=driver_id)

    def make(self, stage: Stage, wanted: str | None = None) -> bool:
        """Do it again, and what it reads where that is not there; whether it is done. `wanted`: an output of it."""
        if stage.key in self.found.failed:
            return False
        done = self.store.record(stage.key) if stage.key in self.found.differing else None
        if done is not None and (wanted is None or wanted in done["outputs"]):
            return True
        for read in stage.inputs.values():
            if self.snapshot.available(read.stage, read.output):
                try:
                    self._copy(read.stage, read.output)
                except (MissingOutput, CorruptOutput) as error:
                    self.found.failed[stage.key] = str(error)
                    return False
                continue
            why = "its stage is not there"
            before = None
            if self.snapshot.done(read.stage):
                before, why = _stage(read.stage, self.snapshot, self.known)
            if before is None or not self.make(before, read.output):
                self.found.failed[stage.key] = f"what it reads cannot be made again: {why or 'see there'}"
                return False
        record = self.snapshot.record(stage.key)
        assert record is not None
        compared = {name for name, entry in record["outputs"].items() if "sha256" in entry}
        outputs = compared | (set() if wanted is None else {wanted})
        self.store.folder.delete(layout.record(stage.key))  # a copy, for a stage that read it: it is to be made now
        work = Workplace(Address(self.store.uri), self.data_root, self.driver)(stage.shape, threading.Event())
        outcome = work(Lease(stage, frozenset(outputs), frozenset(outputs), "verify", 1), lambda done, record: None)
        if outcome.record is None:
            self.found.failed[stage.key] = outcome.message or outcome.kind
            return False
        self.found.compared.update(compared)
        if compared:
            self.found.differing[stage.key] = _differing(record, outcome.record)
        return True

    def _copy(self, key: str, output: str) -> None:
        record = self.snapshot.record(key)
        assert record is not None
        entry = record["outputs"][output]
        self.store.folder.write(entry["path"], self.of.read(key, output))
        there = self.store.record(key)
        outputs = {**(there["outputs"] if there else {}), output: entry}
        self.store.folder.write(layout.record(key), records.encode({**record, "outputs": outputs}))


def _differing(record: Record, other: Record) -> list[str]:
    outputs = record["outputs"], other["outputs"]
    found = [
        name
        for name, entry in outputs[0].items()
        if "sha256" in entry and entry["sha256"] != outputs[1].get(name, {}).get("sha256")
    ]
    same = {
        "status": record["status"] == other["status"],
        "summary": record["summary"] == other["summary"],
        "inputs": record["inputs"] == other["inputs"],
    }
    return [*found, *(name for name, equal in same.items() if not equal)]
