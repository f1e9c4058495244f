"""What findings are made from: a grid, and its store at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.engine.bit_checks import Check
from pipeline.engine.store import Snapshot
from pipeline.experiment.grid import Grid
from pipeline.report.analysis.packed_masks import Mask, packed_mask
from pipeline.report.findings import Table
from pipeline.report.report_folder import is_as_written
from pipeline.report.sound_outputs import SoundOutputs


@dataclass(frozen=True, slots=True)
class Evidence:
    """Read by what computes tables. `earlier`: the folder of an earlier report, if there may be one."""

    grid: Grid
    snapshot: Snapshot
    outputs: SoundOutputs
    store: str
    """Its address."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Stages that failed when they were last run, and why."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Stages that read what failed."""
    checks: Sequence[Check] = ()
    """When stages were made again to see whether they come out the same."""
    earlier: Path | None = None
    is_current: bool = False
    """Whether that report is of these very findings."""
    omissions: list[str] = field(default_factory=list)
    """What is left out, and why: whoever leaves it out says so here."""

    def mask(self, stage: str) -> Mask | None:
        """The mask that a pruning made; None for one that is not there whole, or is of another version."""
        data = self.outputs.read(stage, "mask")
        try:
            return None if data is None else packed_mask(data)
        except ValueError:
            return None

    def before(self, table: Table) -> pd.DataFrame | None:
        """A table as an earlier report of this version wrote it; None where a byte of it is not so."""
        if self.earlier is None:
            return None
        file = f"{table.name}.parquet"
        try:
            return pd.read_parquet(self.earlier / file) if is_as_written(self.earlier, file) else None
        except (OSError, pa.ArrowInvalid):
            return None

    def known(self, table: Table) -> pd.DataFrame | None:
        """A table that is not made again; None for one that is."""
        return self.before(table) if self.is_current and table.reads_store else None

    def size(self, stage: str, output: str) -> int:
        """Bytes of an output; 0 for one that was not made."""
        record = self.snapshot.record(stage)
        return int(record["outputs"].get(output, {}).get("size", 0)) if record else 0
