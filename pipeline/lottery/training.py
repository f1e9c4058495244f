"""Training: from a start (fresh weights or a ticket) to final weights, rewind points and a history of metrics."""

import time
from collections.abc import Mapping, Set
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from pipeline.lottery.checkpoint import Checkpoint, StateDict, weights_of
from pipeline.lottery.data import Images
from pipeline.lottery.history import Record, diverged
from pipeline.lottery.hooks import Hooks, Interrupted
from pipeline.lottery.intermediate_weights import IntermediateWeights
from pipeline.lottery.parallel import ALONE, Group
from pipeline.lottery.run import Run
from pipeline.lottery.summary import Summary
from pipeline.recipes.training import Train

PROGRESS_SECONDS = 0.5

ASK_EVERY = 16
"""Iterations between two questions to the surroundings where several workers have to hear of the answer."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training run leaves; weights are whole states (parameters and buffers), copied to the CPU."""

    status: Literal["ok", "diverged"]
    final: StateDict | None
    """None if the run diverged."""
    captured: dict[int, StateDict]
    """Iterations done -> weights at that moment; on rank 0 only."""
    early_stop: StateDict | None
    """At the record with the smallest validation loss; on rank 0 only, None if not asked for or the run diverged."""
    history: list[Record]
    summary: Summary


def train(
    recipe: Train,
    inputs: Mapping[str, StateDict],
    images: Images,
    *,
    device: str | torch.device = "cpu",
    capture: Set[int] = frozenset(),
    early_stop: bool = False,
    model_file: str | Path | None = None,
    resume: Checkpoint | None = None,
    hooks: Hooks = Hooks(),  # noqa: B008 - immutable
    group: Group = ALONE,
) -> Trained:
    """Train as `recipe` says, from `inputs` ("mask", "weights": what the start refers to).

    `capture` names the iterations after which the weights are copied (0: before the first); with `early_stop` those of
    the record with the smallest validation loss are, the first of equals. With a `first_iteration`, schedule, data
    order and the count of iterations begin there and still end at `iterations`. Of 0 `iterations`, the network is
    evaluated as it starts, in one record. A loss that is NaN or infinite is noticed at the next record and ends the run
    as diverged.

    The same arguments give the same bits on the same hardware under `deterministic()`, also when `resume` continues a
    run that was stopped. A checkpoint that lacks weights that are wanted of before it is passed over.

    With a `group` of `world_size` workers, all of them call this with the same arguments and train as one: each has its
    part of every batch (and its own batch norm statistics; rank 0's are kept), gradients are averaged, the mask is
    applied by each. Only rank 0's `hooks` are heard, every 16 iterations, and only it hands over checkpoints.

    Raises Interrupted after `hooks` asked to stop, ValueError and LookupError for a recipe and inputs that do not fit,
    RuntimeError if the workers' weights or masks differ.
    """
    device = torch.device(device)
    captures = IntermediateWeights(capture, early_stop)
    captures.check(recipe.first_iteration, recipe.configuration.schedule.iterations, images)
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        closing(Run(recipe, inputs, images, device, model_file, group)) as run,
    ):
        if resume is not None and captures.all_in(resume):
            run.restore(resume)
        else:
            captures.stepped(run)
        return _to_the_end(run, captures, hooks)


def _to_the_end(run: Run, captures: IntermediateWeights, hooks: Hooks) -> Trained:
    schedule = run.configuration.schedule
    last = schedule.iterations
    if not last:
        return _recorded(run, captures, hooks) or _result(run, captures, "ok")
    reported = time.monotonic()
    while run.iteration < last:
        run.step()
        captures.stepped(run)
        if run.iteration % schedule.record_every == 0 or run.iteration == last:
            if (lost := _recorded(run, captures, hooks)) is not None:
                return lost
            reported = time.monotonic()
        elif time.monotonic() - reported > PROGRESS_SECONDS:
            hooks.progress(run.iteration, None)
            reported = time.monotonic()
        if run.iteration < last:
            _attend(run, hooks)
    return _result(run, captures, "ok")


def _recorded(run: Run, captures: IntermediateWeights, hooks: Hooks) -> Trained | None:
    """Record the run as it is; what it leaves where it has diverged."""
    record = run.record()
    captures.recorded(run)
    hooks.progress(run.iteration, record)
    lost = run.objective.ends_diverged and diverged(record)
    return _result(run, captures, "diverged") if lost else None


def _attend(run: Run, hooks: Hooks) -> None:
    """Stop, or hand over a checkpoint, if rank 0's surroundings ask for it: all ranks do so at the same iteration."""
    if run.group.size > 1 and run.iteration % ASK_EVERY:
        return
    wish = run.group.decided(lambda: _wish(hooks))
    if wish == "nothing":
        return
    checkpoint = run.checkpoint()
    if run.group.leads:
        hooks.checkpoint(checkpoint)
    if wish == "stop":
        raise Interrupted(f"Stopped after {run.iteration} of {run.configuration.schedule.iterations} iterations.")


def _wish(hooks: Hooks) -> Literal["stop", "checkpoint", "nothing"]:
    if hooks.should_stop():
        return "stop"
    return "checkpoint" if hooks.checkpoint_due() else "nothing"


def _result(run: Run, captures: IntermediateWeights, status: Literal["ok", "diverged"]) -> Trained:
    final = weights_of(run.model) if status == "ok" else None
    stopped = captures.of_early_stop(run) if status == "ok" else None
    return Trained(status, final, captures.of_iterations(run), stopped, run.history, run.summary())
