"""Learning curves: the records that trainings wrote while they ran, read from a store."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import pandas as pd

from pipeline.report.results import MEASURED

VALIDATED = ["validation_loss", "validation_accuracy"]
COLUMNS = [
    "stage",
    "iteration",
    "epoch",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    *VALIDATED,
    "lr",
]
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
    if known is not None and list(known.columns) == COLUMNS:
        parts = [known[known["stage"].isin(wanted)]]
        there = set(parts[0]["stage"])
        wanted = [key for key in wanted if key not in there]
    with ThreadPoolExecutor(READERS) as readers:
        rows = [row for found in readers.map(lambda key: _rows(store, key), wanted) for row in found]
    fresh = pd.DataFrame(rows, columns=COLUMNS).astype({"stage": "string", "iteration": "int64", **NUMBERS})
    return pd.concat([*parts, fresh], ignore_index=True) if parts else fresh


NUMBERS = dict.fromkeys(["epoch", *MEASURED, *VALIDATED, "lr"], "float64")


def _rows(store: Outputs, key: str) -> list[list[Any]]:
    data = store.read(key, "history")
    records = [] if data is None else json.loads(data)
    return [[key, *(record.get(name) for name in COLUMNS[1:])] for record in records]
