"""From a grid and its store to findings: everything that the report says is read or computed here, once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import yaml

from pipeline.engine.addresses import shown
from pipeline.engine.experiments import failures
from pipeline.engine.provenance import describe_driver, that_decides_bits
from pipeline.engine.store import Problem, Snapshot, Store
from pipeline.experiment.grid import Grid
from pipeline.experiment.planning import plan
from pipeline.recipes.keys import canonical
from pipeline.report.analysis.beside_dense import beside_dense
from pipeline.report.analysis.comparisons import chosen_level, comparisons
from pipeline.report.analysis.convergence import convergence
from pipeline.report.analysis.layers import survivors_by_layer
from pipeline.report.analysis.levels import nearest_levels
from pipeline.report.analysis.networks import networks
from pipeline.report.analysis.overlap import overlap
from pipeline.report.analysis.packed_masks import Mask, packed_mask
from pipeline.report.analysis.paired_networks import paired_networks
from pipeline.report.analysis.published import beside_paper
from pipeline.report.analysis.sensitivity import sensitivity
from pipeline.report.analysis.statistics import curves, level_of
from pipeline.report.analysis.winning_tickets import winning_tickets
from pipeline.report.cost import cost
from pipeline.report.files import is_as_written, report_digest
from pipeline.report.findings import Findings
from pipeline.report.histories import histories
from pipeline.report.inside_tickets import inside_tickets
from pipeline.report.results import results_table
from pipeline.report.settings import in_force
from pipeline.report.sound_outputs import SoundOutputs, broken_files
from pipeline.report.unmade import still_skipped, unmade
from pipeline.report.wording import listed

HISTORIES = 20_000
"""Trainings whose records are all read; of a larger grid those of one level. Some 160 records and 25 kB each."""
MASK_BYTES = 4 << 30
"""Of masks that are all compared; of more of them, those of one level."""


@dataclass(frozen=True, slots=True)
class Known:
    """Tables of an earlier report that hold what never changes for a key, so that it is not read again."""

    histories: pd.DataFrame | None = None
    overlap: pd.DataFrame | None = None

    @classmethod
    def in_folder(cls, folder: Path) -> Known:
        """What is there, whole and of this version; the rest is read and computed anew."""
        return cls(_table(folder, "histories.parquet"), _table(folder, "overlap.parquet"))


def gather(
    grid: Grid, store: Store, snapshot: Snapshot, known: Known = Known(), broken: Sequence[Problem] | None = None
) -> Findings:
    """Read and compute all findings. `snapshot` is the moment that they are of.

    A grid whose histories or masks are too many to read has those of one level (`analysis.fraction_pruned`) only;
    `Findings.notes` says so. Files of the store that are damaged are left out, named, and discarded. `broken`: those
    that are known, as `broken_files` finds them.
    """
    made = time.time()
    notes: list[str] = []
    failed, skipped = failures(store, grid.name)
    results = results_table(grid, snapshot, failed)
    compared = comparisons(results, grid.spec)
    level = chosen_level(compared, grid.spec.analysis.fraction_pruned)
    outputs = SoundOutputs(store, broken_files(grid, snapshot) if broken is None else broken)
    read_mask = _reader(outputs)
    inside = inside_tickets(grid, results, outputs, snapshot, read_mask, notes)
    means, many = curves(results), networks(results, snapshot, grid.spec)
    records = histories(outputs, _stages(results, level, grid.spec.analysis.levels or (), notes), known.histories)
    converged = convergence(records, grid.spec.analysis.convergence)
    compared_masks = overlap(_with_masks(results, snapshot, level, notes), read_mask, known.overlap)
    return Findings(
        spec=grid.spec,
        results=results,
        curves=means,
        comparisons=compared,
        histories=records,
        convergence=converged,
        layers=survivors_by_layer(results, snapshot, grid.spec),
        initial_weights=inside[0],
        connectivity=inside[1],
        networks=many,
        paired_networks=paired_networks(results, snapshot, grid.spec),
        beside_paper=beside_paper(results, converged, many, grid.spec),
        sensitivity=sensitivity(compared, results, grid.spec),
        beside_dense=beside_dense(results, grid.spec),
        winning_tickets=winning_tickets(results, records, grid.spec),
        overlap=compared_masks,
        settings=in_force(grid.spec),
        unmade=unmade(results, failed, still_skipped(grid, skipped, failed, snapshot), plan(grid, snapshot).blocked),
        cost=cost(grid, snapshot),
        provenance=_provenance(grid, store, snapshot),
        made=made,
        digest="" if outputs.damaged else report_digest(grid.spec, store.uri, results, failed),
        notes=(*notes, *outputs.damaged),
        damaged=outputs.damaged,
        about=grid.about,
    )


def _stages(results: pd.DataFrame, level: float | None, asked: Sequence[float], notes: list[str]) -> list[str]:
    """Trainings whose histories are read: of a large grid those at `level` and nearest to levels `asked`."""
    measured = results[results["status"].isin(["ok", "diverged"])]
    if measured["stage"].nunique() > HISTORIES and level is not None:
        levels = level_of(results).loc[measured.index]
        kept = sorted({level, *nearest_levels(asked, set(levels)).values()}, reverse=True)
        measured = measured[levels.isin(kept) | (measured["round"] == 0)]
        said = listed([f"{each:.3%}" for each in kept])
        notes.append(
            f"Learning curves and convergence are of the dense networks and of {said} of the weights remaining: "
            f"there are more than {HISTORIES:,} trainings."
        )
    return measured["stage"].drop_duplicates().to_list()


def _with_masks(results: pd.DataFrame, snapshot: Snapshot, level: float | None, notes: list[str]) -> pd.DataFrame:
    """Results whose masks are compared."""
    keys = results["mask"].dropna().drop_duplicates()
    size = sum(_size(snapshot.record(key)) for key in keys)
    if size <= MASK_BYTES or level is None:
        return results
    notes.append(
        f"Masks are compared at {level:.3%} of the weights remaining only: all of them are {size / 2**30:.0f} GiB."
    )
    return results[level_of(results) == level]


def _size(record: Mapping[str, Any] | None) -> int:
    return int((record or {"outputs": {}})["outputs"].get("mask", {}).get("size", 0))


def _reader(outputs: SoundOutputs) -> Any:
    def read(stage: str) -> Mask | None:
        data = outputs.read(stage, "mask")
        try:
            return None if data is None else packed_mask(data)
        except ValueError:  # whole, and of another version
            return None

    return read


def _provenance(grid: Grid, store: Store, snapshot: Snapshot) -> dict[str, Any]:
    versions: dict[str, Any] = {}
    hardware: dict[str, Any] = {}
    commits: dict[str, None] = {}
    drivers: dict[str, None] = {}
    for key in grid.stages:
        record = snapshot.record(key)
        if record is not None:
            of_host = that_decides_bits(record.get("hardware", {}))
            versions.setdefault(canonical(record.get("versions", {})), record.get("versions", {}))
            hardware.setdefault(canonical(of_host), of_host)
            commits.setdefault(record.get("git_commit", ""))
            drivers.setdefault(record.get("driver", ""))
    return {
        "versions": list(versions.values()),
        "hardware": list(hardware.values()),
        "commits": [commit for commit in commits if commit],
        "drivers": len(drivers),
        "store": shown(store.uri),
        "report": describe_driver(),
        "spec": yaml.safe_dump(grid.spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
    }


def _table(folder: Path, name: str) -> pd.DataFrame | None:
    """A table of a whole report of this version; None where a byte of it is not as that report wrote it."""
    try:
        return pd.read_parquet(folder / name) if is_as_written(folder, name) else None
    except (OSError, pa.ArrowInvalid):
        return None
