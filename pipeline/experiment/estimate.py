"""How long a plan will take, from durations that were recorded."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from pipeline.experiment.grid import Grid
from pipeline.experiment.keys import canonical
from pipeline.experiment.planning import Plan


@dataclass(frozen=True)
class Estimate:
    seconds: float
    """Of work, on one lane."""
    longest_chain: float
    """Seconds that no number of lanes can save."""
    unknown: int
    """Trainings of a kind that was never timed; they are not in the sums."""


def seconds_per_iteration(records: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Median by (model, data, batch size) over the records of train stages that ran."""
    found: dict[str, list[float]] = defaultdict(list)
    for record in records:
        fields = record["fields"]
        if fields["kind"] == "train" and record.get("iterations"):
            found[_group(fields)].append(record["seconds"] / record["iterations"])
    return {group: median(rates) for group, rates in found.items()}


def estimate(grid: Grid, plan: Plan, rates: Mapping[str, float]) -> Estimate:
    """Seconds for what `plan` runs; pruning counts as nothing beside training."""
    paths: dict[str, float] = {}
    total, unknown = 0.0, 0
    groups: dict[int, str] = {}
    for key in plan.to_run:
        stage = grid.stages[key]
        own = 0.0
        if stage.kind == "train":
            # stages of one side share the same data fields object: its identity spares the JSON of 20,000 stages
            same = id(stage.fields["data"])
            if same not in groups:
                groups[same] = _group(stage.fields)
            rate = rates.get(groups[same])
            unknown += rate is None
            own = stage.iterations * (rate or 0.0)
        total += own
        paths[key] = own + max((paths.get(read.stage, 0.0) for read in stage.inputs.values()), default=0.0)
    return Estimate(total, max(paths.values(), default=0.0), unknown)


def _group(fields: Mapping[str, Any]) -> str:
    return canonical([fields["model"], fields["data"], fields["input"], fields["batch_size"]])
