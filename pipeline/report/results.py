"""The results table: a row for each point of a grid, with a result or not; and `from pipeline import results`."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.engine.addresses import STORE
from pipeline.engine.failures import failures
from pipeline.engine.point_labels import labels_of
from pipeline.engine.store import Store
from pipeline.experiment.errors import UserError
from pipeline.report.named_experiment import open_experiment
from pipeline.report.rows import columns, table_of

if TYPE_CHECKING:
    from pipeline.engine.store.records import Records
    from pipeline.experiment.grid import Grid

MEASURED = ["test_accuracy", "test_loss", "train_accuracy", "train_loss"]
OF_POINT = [
    "source",
    "target",
    "ticket",
    "round",
    "seed",
    "draw",
    "fraction_pruned",
    "survivors",
    "total",
    "stage",
    "mask",
]
TYPES = columns(
    "experiment, model, source, target, source_optimizer, target_optimizer, ticket: string; round, seed, draw: int64; "
    "fraction_pruned: float64; survivors, total: int64; test_accuracy, test_loss, train_accuracy, train_loss: "
    "float64; status, stage, mask: string; seconds, finished: float64"
)


def results_table(grid: Grid, snapshot: Records, failed: Collection[str] = frozenset()) -> pd.DataFrame:
    """One row for each point, in the grid's order.

    Accuracies and `fraction_pruned` are in [0, 1], losses in nats, `seconds` is the duration of the stage, `finished`
    unix seconds. `status`: `ok`; `diverged` (a result: it counts with its accuracy); `failed` (no record, and the
    stage's key is in `failed`); `missing` (no record). What has no record has NaN for what is measured.
    """
    curves = dict.fromkeys((point.source, point.target, point.ticket) for point in grid.points)
    labels = {curve: asdict(labels_of(grid, *curve)) for curve in curves}
    rows = []
    for point in grid.points:
        record = snapshot.record(point.stage)
        row = {"experiment": grid.name, **labels[point.source, point.target, point.ticket]}
        row |= {name: getattr(point, name) for name in OF_POINT}
        if record is None:
            row["status"] = "failed" if point.stage in failed else "missing"
        else:
            row |= {name: record["summary"].get(name) for name in MEASURED}
            row |= {"status": record["status"], "seconds": record["seconds"], "finished": record["finished"]}
        rows.append(row)
    return table_of(rows, TYPES)


def results(
    experiment: str | Path, *, store: str | None = None, data: str | Path | None = None, overrides: Sequence[str] = ()
) -> pd.DataFrame:
    """One row for each (source, target, ticket, round, seed) of an experiment, with a result or not.

    `experiment`: the name it was run under, or its YAML file (with `overrides`, as `--set` takes them, and the data
    sets below `data`). `store` and `data` are by default those of the command line: TICKETS_STORE or `.tickets/store`,
    TICKETS_DATA or `data`. Columns:

    - `experiment`, `model`, `source`, `target`, `ticket`: names; source "any" where the ticket depends on none; ticket
      "dense" is the dense network trained from scratch on the target (round 0); on a target that trains nothing, the
      one that its data's sources trained before they pruned.
    - `source_optimizer`, `target_optimizer`: `sgd` or `adam`; "any" for the source "any".
    - `round`: prune rounds that the ticket has behind it; `seed`: the replicate; `draw`: of a control, or a dense
      network, that is trained several times.
    - `fraction_pruned`, in [0, 1]: of the prunable weights (with `prune.only`, of those layers'); `survivors` of
      `total`: in weights.
    - `test_accuracy`, `train_accuracy`, in [0, 1], and `test_loss`, `train_loss`, in nats: at the last iteration; NaN
      without a result, for a loss that was not finite, and `train_*` where nothing was trained.
    - `status`: `ok`; `diverged` (a result all the same); `failed` when it was last run; `missing`.
    - `stage`, `mask`: keys of the training and of the pruning that made the mask (`tickets show KEY`).
    - `seconds`: duration of the training on its lane; `finished`: unix seconds.

    `"NAME@1"` is the first of several experiments that were run under one name; `"NAME"` the newest that has results.

    Raises UserError for a store that is not there, a name that it does not know (with those that it knows), and a file
    that is wrong.
    """
    opened = Store(store or os.environ.get("TICKETS_STORE") or STORE, create=False)
    try:
        opened.existing()
    except UserError as error:
        raise UserError(
            f"{error} In Python, results({str(experiment)!r}, store=...) or TICKETS_STORE names another one."
        ) from None
    grid = open_experiment(experiment, opened, data or os.environ.get("TICKETS_DATA") or "data", overrides)
    return results_table(grid, opened.snapshot(), failures(opened, grid.name)[0])
