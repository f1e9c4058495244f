"""The results table: one row for each point of a grid, whether it has a result or not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.engine.point_labels import labels_of

if TYPE_CHECKING:
    from pipeline.engine.store.records import Records
    from pipeline.experiment.grid import Grid

TEXT = ["experiment", "model", "source", "target", "source_optimizer", "target_optimizer", "ticket"]
WHOLE = ["round", "seed", "draw", "survivors", "total"]
MEASURED = ["test_accuracy", "test_loss", "train_accuracy", "train_loss"]
COLUMNS = [
    *["experiment", "model", "source", "target", "source_optimizer", "target_optimizer", "ticket"],
    *["round", "seed", "draw"],
    *["fraction_pruned", "survivors", "total", *MEASURED, "status", "stage", "mask", "seconds", "finished"],
]


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
        without = "failed" if point.stage in failed else "missing"
        summary = record["summary"] if record else {}
        rows.append(
            {
                "experiment": grid.name,
                **labels[point.source, point.target, point.ticket],
                "source": point.source,
                "target": point.target,
                "ticket": point.ticket,
                "round": point.round,
                "seed": point.seed,
                "draw": point.draw,
                "fraction_pruned": point.fraction_pruned,
                "survivors": point.survivors,
                "total": point.total,
                **{name: summary.get(name) for name in MEASURED},
                "status": record["status"] if record else without,
                "stage": point.stage,
                "mask": point.mask,
                "seconds": record["seconds"] if record else None,
                "finished": record["finished"] if record else None,
            }
        )
    table = pd.DataFrame(rows, columns=COLUMNS)
    text = dict.fromkeys([*TEXT, "status", "stage", "mask"], "string")
    whole = dict.fromkeys(WHOLE, "int64")
    numbers = dict.fromkeys(["fraction_pruned", *MEASURED, "seconds", "finished"], "float64")
    return table.astype({**text, **whole, **numbers})
