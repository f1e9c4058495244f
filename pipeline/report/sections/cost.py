"""What results took: stages, what sharing saved, seconds of work by kind of stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import pandas as pd

from pipeline.experiment.grid import Grid
from pipeline.lottery.counting import count_of
from pipeline.report.findings import Computed
from pipeline.report.rows import records
from pipeline.report.sections.section import Fragment, Section
from pipeline.report.wording import moment

KINDS = ["kind", "stages", "done", "seconds", "median"]


class Records(Protocol):
    """A store's snapshot."""

    def record(self, key: str) -> Mapping[str, Any] | None: ...


def cost(grid: Grid, snapshot: Records) -> dict[str, Any]:
    """Counts and times of the grid's stages, whoever ran them.

    `stages`, `trainings`, `prunings`, `done`; `requested` (stages if nothing were shared) and `shared` (of these,
    saved); `seconds`: DataFrame by kind of stage (`chain`, `prune`, `dense` or a ticket's name) with `stages`, `done`,
    `seconds` (their sum) and `median` (seconds a stage); `lane_hours` (all of them, on one lane); `iterations`;
    `first` and `last` (unix seconds of the first start and the last end, None before there is one); `hosts` (how many).
    """
    rows = []
    hosts = set()
    first, last, iterations = None, None, 0
    for key, stage in grid.stages.items():
        record = snapshot.record(key)
        rows.append((grid.roles[key], stage.kind, record is not None, record["seconds"] if record else None))
        if record is None:
            continue
        hosts.add(record.get("hardware", {}).get("host", ""))
        started = record.get("started", record["finished"])
        first = started if first is None else min(first, started)
        last = record["finished"] if last is None else max(last, record["finished"])
        iterations += record.get("iterations") or 0
    table = pd.DataFrame(rows, columns=["kind", "does", "is_done", "took"]).astype({"took": "float64"})
    by_kind = table.groupby("kind", sort=False).agg(
        stages=("is_done", "size"), done=("is_done", "sum"), seconds=("took", "sum"), median=("took", "median")
    )
    requested = sum(grid.requested.values())
    return {
        "stages": len(table),
        "trainings": int((table["does"] == "train").sum()),
        "prunings": int((table["does"] == "prune").sum()),
        "done": int(table["is_done"].sum()),
        "requested": requested,
        "shared": requested - len(table),
        "seconds": by_kind.reset_index().reindex(columns=KINDS),
        "lane_hours": float(table["took"].sum()) / 3600,
        "iterations": iterations,
        "first": first,
        "last": last,
        "hosts": len(hosts),
    }


def cost_rows(cost: Mapping[str, Any]) -> dict[str, Any]:
    """Sentences about stages and time, and a row for each kind of stage."""
    if not cost:
        return {}
    sentences = [
        f"{cost['done']:,} of {count_of(cost['stages'], 'stage is', 'stages are')} done: "
        f"{count_of(cost['trainings'], 'training')} and {count_of(cost['prunings'], 'pruning')} in all.",
        f"Without sharing it would be {cost['requested']:,}: {count_of(cost['shared'], 'is', 'are')} saved."
        if cost["shared"]
        else "Without sharing it would be as many.",
        f"{cost['lane_hours']:,.3g} lane hours on {count_of(cost['hosts'], 'host')}, "
        f"{count_of(cost['iterations'], 'training iteration')}.",
    ]
    if cost["first"] is not None and cost["last"] is not None:
        sentences.append(f"From {moment(cost['first'])} to {moment(cost['last'])}.")
    return {"sentences": sentences, "rows": records(cost["seconds"])}


COST: Computed[Mapping[str, Any]] = Computed("cost", lambda findings: cost(findings.read.grid, findings.read.snapshot))
SECTION = Section(
    "cost", "Cost", "Cost", lambda findings: Fragment({"cost": cost_rows(findings.of(COST))}), computed=(COST,)
)
