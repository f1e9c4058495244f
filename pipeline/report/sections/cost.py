"""What results took: stages, what sharing saved, seconds of work by kind of stage."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from pipeline.engine.store.records import Records
from pipeline.experiment.grid import Grid
from pipeline.lottery.counting import count_of
from pipeline.report.findings import Computed, Findings
from pipeline.report.rows import records
from pipeline.report.sections.section import Fragment, Section
from pipeline.report.wording import moment

KINDS = ["kind", "stages", "done", "seconds", "median"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Counts and times of a grid's stages, whoever ran them."""

    stages: int
    trainings: int
    prunings: int
    done: int
    requested: int
    """Stages if nothing were shared."""
    seconds: pd.DataFrame
    """`stages`, `done`, `seconds` and their `median` by `kind`: `chain`, `prune`, `dense` or a ticket's name."""
    iterations: int
    first: float | None
    """Unix seconds of the first start, None before there is one; `last`: of the last end."""
    last: float | None
    hosts: int

    @property
    def lane_hours(self) -> float:
        """All that was done, on one lane."""
        return float(self.seconds["seconds"].sum()) / 3600


def cost(grid: Grid, snapshot: Records) -> Cost:
    """What the store says of the grid's stages."""
    records = {key: snapshot.record(key) for key in grid.stages}
    done = [record for record in records.values() if record is not None]
    rows = [
        (grid.roles[key], stage.kind, (record := records[key]) is not None, record["seconds"] if record else None)
        for key, stage in grid.stages.items()
    ]
    table = pd.DataFrame(rows, columns=["kind", "does", "is_done", "took"]).astype({"took": "float64"})
    by_kind = table.groupby("kind", sort=False).agg(
        stages=("is_done", "size"), done=("is_done", "sum"), seconds=("took", "sum"), median=("took", "median")
    )
    return Cost(
        stages=len(table),
        trainings=int((table["does"] == "train").sum()),
        prunings=int((table["does"] == "prune").sum()),
        done=len(done),
        requested=sum(grid.requested.values()),
        seconds=by_kind.reset_index().reindex(columns=KINDS),
        iterations=sum(record.get("iterations") or 0 for record in done),
        first=min((record.get("started", record["finished"]) for record in done), default=None),
        last=max((record["finished"] for record in done), default=None),
        hosts=len({record.get("hardware", {}).get("host", "") for record in done}),
    )


def cost_in_words(cost: Cost) -> list[str]:
    """Sentences about stages and time."""
    shared = cost.requested - cost.stages
    return [
        f"{cost.done:,} of {count_of(cost.stages, 'stage is', 'stages are')} done: "
        f"{count_of(cost.trainings, 'training')} and {count_of(cost.prunings, 'pruning')} in all.",
        f"Without sharing it would be {cost.requested:,}: {count_of(shared, 'is', 'are')} saved."
        if shared
        else "Without sharing it would be as many.",
        f"{cost.lane_hours:,.3g} lane hours on {count_of(cost.hosts, 'host')}, "
        f"{count_of(cost.iterations, 'training iteration')}.",
        *([f"From {moment(cost.first)} to {moment(cost.last)}."] if cost.first and cost.last else []),
    ]


def _page(findings: Findings) -> Fragment:
    cost = findings.of(COST)
    return Fragment({"sentences": cost_in_words(cost), "rows": records(cost.seconds)})


COST = Computed("cost", lambda findings: cost(findings.read.grid, findings.read.snapshot))
SECTION = Section("cost", "Cost", "Cost", _page, computed=(COST,))
