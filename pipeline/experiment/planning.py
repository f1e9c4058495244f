"""What of a grid has to run, and why: a pure function of the grid and of what a store has."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipeline.experiment.grid import Work
from pipeline.experiment.stages import Stage


class State(Protocol):
    """What a store knows of stages; `engine.store.Snapshot` is one."""

    def done(self, key: str) -> bool: ...

    def available(self, key: str, output: str) -> bool:
        """Whether the output is there to be read."""
        ...

    def status(self, key: str) -> str | None:
        """ "ok", "diverged", or None for a stage that is not done."""
        ...

    def record(self, key: str) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True)
class Plan:
    to_run: dict[str, frozenset[str]]
    """Key -> outputs that are wanted of it, in topological order."""
    reasons: dict[str, str]
    """Why each stage of `to_run` must run."""
    cached: list[str]
    """Done, and nothing is asked of them that is not there."""
    blocked: dict[str, str]
    """Wanted, but they descend from a stage that diverged: they will be missing."""
    chain_length: int = 0
    """Stages on the longest path through `to_run`."""
    chain_iterations: int = 0
    """Training iterations on the path that has most of them."""
    chain_epochs: int | None = None
    """The same in epochs, where all sources and targets train for as many whole ones."""
    requested: dict[str, int] = field(default_factory=dict)
    """Stages by kind without sharing (see Grid)."""
    shared: dict[str, int] = field(default_factory=dict)
    """Of these, by kind, how many sharing saves."""


def plan(work: Work, state: State) -> Plan:
    """Walk back from what must exist at the end: results of all points, outputs that are kept.

    A needed output that is available ends the walk there; otherwise its stage must run, and needs its inputs.
    """
    needs: dict[str, dict[str, str]] = defaultdict(dict)  # key -> output -> who needs it
    for point in work.points:
        needs[point.stage]["history"] = "the results"
    for key, outputs in work.keep.items():
        needs[key].update(dict.fromkeys(outputs, "the tickets that are kept"))
    dead_ends = _dead_ends(work, state)
    missing: dict[str, frozenset[str]] = {}
    reasons: dict[str, str] = {}
    blocked: dict[str, str] = {}
    for key in reversed(work.stages):
        stage = work.stages[key]
        lacking = frozenset(output for output in needs.get(key, ()) if not state.available(key, output))
        if not lacking or state.status(key) == "diverged":
            continue
        if key in dead_ends:
            blocked[key] = dead_ends[key]
            continue
        missing[key] = lacking
        reasons[key] = _reason(work, state, key, needs[key], lacking)
        for read in stage.inputs.values():
            needs[read.stage].setdefault(read.output, stage.label)
    to_run = {key: missing[key] for key in work.stages if key in missing}
    kinds: Counter[str] = Counter(stage.kind for stage in work.stages.values())
    length, iterations, trainings = _longest(work.stages, to_run)
    return Plan(
        to_run=to_run,
        reasons={key: reasons[key] for key in to_run},
        cached=[key for key in work.stages if key not in missing and key not in blocked and state.done(key)],
        blocked={key: blocked[key] for key in work.stages if key in blocked},
        chain_length=length,
        chain_iterations=iterations,
        chain_epochs=_epochs(work, trainings),
        requested=dict(work.requested),
        shared={kind: count - kinds[kind] for kind, count in work.requested.items()},
    )


def _dead_ends(work: Work, state: State) -> dict[str, str]:
    """Stages whose inputs can never be: they come from a diverged training, or from a stage that waits for one."""
    found: dict[str, str] = {}
    for key, stage in work.stages.items():
        for read in stage.inputs.values():
            if state.available(read.stage, read.output):
                continue
            if state.status(read.stage) == "diverged":
                found[key] = f"{work.stages[read.stage].label} diverged"
            elif read.stage in found:
                found[key] = found[read.stage]
    return found


def _reason(work: Work, state: State, key: str, needs: Mapping[str, str], lacking: frozenset[str]) -> str:
    if not state.done(key):
        return "new"
    output = min(lacking)
    outputs = (state.record(key) or {}).get("outputs", {})
    if output not in outputs:
        what = "was not stored"
    elif outputs[output].get("collected"):
        what = "was collected"
    else:
        what = "is damaged or missing"
    return f"{output!r} {what} and is needed by {needs[output]}"


def _longest(stages: Mapping[str, Stage], to_run: Mapping[str, object]) -> tuple[int, int, int]:
    """Of all paths through `to_run`, the most stages; the most iterations, and in how many trainings."""
    lengths: dict[str, int] = {}
    iterations: dict[str, tuple[int, int]] = {}
    for key in to_run:
        stage = stages[key]
        before = [read.stage for read in stage.inputs.values() if read.stage in lengths]
        lengths[key] = 1 + max((lengths[parent] for parent in before), default=0)
        steps, trainings = max((iterations[parent] for parent in before), default=(0, 0))
        iterations[key] = steps + stage.iterations, trainings + (stage.kind == "train")
    return max(lengths.values(), default=0), *max(iterations.values(), default=(0, 0))


def _epochs(work: Work, trainings: int) -> int | None:
    every = [side.training for grid in work.grids for side in grid.spec.sides]
    lengths = {training.length for training in every}
    if len(lengths) > 1 or any(training.length.extra or training.after_rewind != "full" for training in every):
        return None
    return trainings * every[0].length.epochs
