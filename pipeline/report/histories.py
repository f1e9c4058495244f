"""Learning curves: the records that trainings wrote while they ran, read from a store."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import pandas as pd

from pipeline.report.analysis.comparisons import LEVEL
from pipeline.report.analysis.levels import level_of, nearest_levels
from pipeline.report.findings import Findings, Table
from pipeline.report.rows import table_of
from pipeline.report.wording import listed

VALIDATED = ["validation_loss", "validation_accuracy"]
NUMBERS = ["train_loss", "train_accuracy", "test_loss", "test_accuracy", *VALIDATED, "lr"]
TYPES = {"stage": "string", "iteration": "int64", **dict.fromkeys(["epoch", *NUMBERS], "float64")}
MOST = 20_000
"""Trainings whose records are all read; of a larger grid those of one level. Some 160 records and 25 kB each."""
READERS = 32
"""Threads: object stores answer in some 30 ms each."""


class Outputs(Protocol):
    """A store, as far as histories read it: None for what it does not have whole."""

    def read(self, key: str, output: str) -> bytes | None: ...


def histories(store: Outputs, stages: Iterable[str], known: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row for each record of the train stages that have a history.

    `iteration` and `epoch` count from the start of the schedule; accuracies are in [0, 1], losses in nats (NaN where
    not finite), `lr` is the last iteration's. `train_*` are over the batches since the record before, with the weights
    of that moment; `test_*` over the whole test set, `validation_*` over held out training images (NaN where there are
    none). `known`: an earlier table; its stages are not read again, for the
    same key has the same records.
    """
    wanted = list(dict.fromkeys(stages))
    parts = []
    if known is not None and list(known.columns) == list(TYPES):
        parts = [known[known["stage"].isin(wanted)]]
        there = set(parts[0]["stage"])
        wanted = [key for key in wanted if key not in there]
    with ThreadPoolExecutor(READERS) as readers:
        rows = [row for found in readers.map(lambda key: _rows(store, key), wanted) for row in found]
    fresh = table_of(rows, TYPES)
    return pd.concat([*parts, fresh], ignore_index=True) if parts else fresh


def _rows(store: Outputs, key: str) -> list[list[Any]]:
    data = store.read(key, "history")
    records = [] if data is None else json.loads(data)
    return [[key, *(record.get(name) for name in list(TYPES)[1:])] for record in records]


def _of(findings: Findings) -> pd.DataFrame:
    before = findings.read.before(HISTORIES)
    return histories(findings.read.outputs, _stages(findings), before)


HISTORIES = Table("histories", _of, csv=False, reads_store=True)


def _stages(findings: Findings) -> list[str]:
    """Trainings whose records are read: of a large grid those at its level and nearest to levels asked for."""
    results, level = findings.results, findings.of(LEVEL)
    measured = results[results["status"].isin(["ok", "diverged"])]
    if measured["stage"].nunique() > MOST and level is not None:
        levels = level_of(results).loc[measured.index]
        asked = nearest_levels(findings.spec.analysis.levels or (), set(levels))
        kept = sorted({level, *asked.values()}, reverse=True)
        measured = measured[levels.isin(kept) | (measured["round"] == 0)]
        said = listed([f"{each:.3%}" for each in kept])
        findings.read.omissions.append(
            f"Learning curves and convergence are of the dense networks and of {said} of the weights remaining: "
            f"there are more than {MOST:,} trainings."
        )
    return measured["stage"].drop_duplicates().to_list()
