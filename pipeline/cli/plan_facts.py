"""The facts of a plan, which a person or a program is shown."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.experiment.errors import UserError

if TYPE_CHECKING:
    from pipeline.engine.store import Snapshot
    from pipeline.experiment.estimate import Basis, Rates
    from pipeline.experiment.grid import Work
    from pipeline.experiment.planning import Plan


def read_throughput(written: Sequence[str], work: "Work") -> dict[str, float]:
    """`N` and `MODEL=N` as numbers by the model's name, "" for every model. Raises UserError."""
    models = dict.fromkeys(model.name for grid in work.grids for model in grid.spec.models)
    found = {}
    for one in written:
        model, _, number = one.rpartition("=")
        try:
            rate = float(number)
        except ValueError:
            rate = math.nan
        if not 0 < rate < math.inf:
            raise UserError(
                f"--images-per-second {one}: should be a number above 0 such as 100000, or MODEL=NUMBER for one model."
            )
        if "=" in one and model not in models:
            raise UserError(
                f"--images-per-second {one}: there is no model {model!r} in {work.name}, but {', '.join(models)}."
            )
        found[model] = rate
    return found


def known_rates(snapshot: "Snapshot", throughput: dict[str, float]) -> "Rates":
    """From all trainings of the store that were timed, and from the throughput given."""
    from pipeline.experiment.estimate import Rates

    return Rates.of((record for key in snapshot if (record := snapshot.record(key)) is not None), throughput)


@dataclass(frozen=True)
class PlanFacts:
    """The facts of a plan, as `--json` prints them. Seconds are of one lane; bytes are what stays in the store."""

    name: str
    experiments: list[str]
    stages: dict[str, dict[str, int]]
    """By role how many there are: `all`, `cached` and `to_run`."""
    trainings: int
    prunings: int
    cached: int
    to_run: int
    blocked: dict[str, str]
    requested: dict[str, int]
    shared: dict[str, int]
    chain_stages: int
    chain_iterations: int
    chain_epochs: int | None
    seconds: float | None
    """None, as the two below, where nothing is known."""
    seconds_longest_chain: float | None
    holds_gpus: bool
    gpu_hours: float | None
    trainings_never_timed: int
    estimated_from: list["Basis"]
    bytes_kept: int
    results: int
    notes: list[str]
    missing_data: list[dict[str, str | None]]
    lane_limit: int
    lane_shapes: list[str]


def describe(work: "Work", todo: "Plan", rates: "Rates", data: Path) -> PlanFacts:
    """The facts of a plan."""
    from pipeline.cli.missing_data import as_json, planned_without
    from pipeline.engine.lanes.capacity import lane_limit
    from pipeline.experiment.estimate import estimate

    time = estimate(work, todo, rates)
    roles = Counter(work.roles.values())
    waiting = Counter(work.roles[key] for key in todo.to_run)
    cached = Counter(work.roles[key] for key in todo.cached)
    kinds = Counter(stage.kind for stage in work.stages.values())
    known = any(basis.source for basis in time.bases) or not time.bases
    shapes = dict.fromkeys(stage.shape for stage in work.stages.values())
    return PlanFacts(
        name=work.name,
        experiments=[grid.name for grid in work.grids],
        stages={role: {"all": count, "cached": cached[role], "to_run": waiting[role]} for role, count in roles.items()},
        trainings=kinds["train"],
        prunings=kinds["prune"],
        cached=len(todo.cached),
        to_run=len(todo.to_run),
        blocked=dict(todo.blocked),
        requested=dict(todo.requested),
        shared=dict(todo.shared),
        chain_stages=todo.chain_length,
        chain_iterations=todo.chain_iterations,
        chain_epochs=todo.chain_epochs,
        seconds=time.seconds if known else None,
        seconds_longest_chain=time.longest_chain if known else None,
        holds_gpus=any(shape.gpus_per_worker for shape in shapes),
        gpu_hours=time.gpu_seconds / 3600 if known else None,
        trainings_never_timed=time.unknown,
        estimated_from=list(time.bases),
        bytes_kept=work.kept_bytes,
        results=len(work.points),
        notes=list(work.notes),
        missing_data=as_json(planned_without(work, todo, data)),
        lane_limit=lane_limit(),
        lane_shapes=[
            f"{each.workers} x ({each.cpus_per_worker:g} CPU, {each.gpus_per_worker:g} GPU)" for each in shapes
        ],
    )
