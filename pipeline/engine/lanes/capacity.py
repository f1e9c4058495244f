"""How many lanes of which shape: a pure decision from what the cluster has, what runs and what waits."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.engine.lanes.memory import memory_bytes
from pipeline.experiment.errors import UserError
from pipeline.experiment.stages import Shape
from pipeline.lottery.counting import count_of

CONTROLLER_BYTES = 0.4e9
"""Memory on the driver's node that the Ray Train controller of one lane takes."""

AHEAD = 8
"""Lanes that may wait for nodes which an autoscaler has yet to add."""

PATIENCE = 30.0
"""Seconds a ready stage waits for a lane of its shape before lanes of other shapes are drained to make room."""


@dataclass(frozen=True, slots=True)
class LaneState:
    """A lane as the decision sees it."""

    name: str
    shape: Shape
    busy: bool
    draining: bool
    starting: bool = False
    """It has not said hello yet: its workers may be waiting for room."""


@dataclass(frozen=True, slots=True)
class Decision:
    start: tuple[Shape, ...] = ()
    drain: tuple[str, ...] = ()


def lane_limit(memory: float | None = None) -> int:
    """Lanes whose controllers fit half of this node's memory (bytes)."""
    return max(1, int((memory_bytes() if memory is None else memory) / 2 / CONTROLLER_BYTES))


def fits(shape: Shape, cpus: float, gpus: float) -> int:
    """How many lanes of this shape `cpus` and `gpus` can hold at once."""
    by_cpu = cpus / (shape.workers * shape.cpus_per_worker) if shape.cpus_per_worker else math.inf
    by_gpu = gpus / (shape.workers * shape.gpus_per_worker) if shape.gpus_per_worker else math.inf
    bound = min(by_cpu, by_gpu)
    return 10**6 if math.isinf(bound) else int(bound + 1e-9)


def check_feasible(shapes: Sequence[Shape], nodes: Sequence[tuple[float, float]]) -> None:
    """Raises UserError if a shape can never be placed: Ray would wait for it for ever, without a word.

    `nodes`: CPUs and GPUs of each; a worker is on one of them.
    """
    cpus, gpus = sum(node[0] for node in nodes), sum(node[1] for node in nodes)
    for shape in shapes:
        if not fits_on(shape, nodes):
            where = f", on {len(nodes)} nodes" if len(nodes) > 1 else ""
            raise UserError(
                f"resources: a lane of {count_of(shape.workers, 'worker')} with {shape.cpus_per_worker:g} CPU and "
                f"{shape.gpus_per_worker:g} GPU each does not fit this cluster, which has {count_of(cpus, 'CPU')} and "
                f"{count_of(gpus, 'GPU')}{where}. Lower `resources` in the grid, or use a larger cluster."
            )


def room_to_grow(
    cpus: float, gpus: float, lanes: Sequence[LaneState], demand: Mapping[Shape, tuple[int, float]]
) -> tuple[float, float]:
    """CPUs and GPUs to plan with where an autoscaler is at work, which adds nodes for lanes that wait for room.

    Beside what is there, lanes that wait take nothing, and some more may begin to: AHEAD at a time in all.
    """
    waiting = [lane.shape for lane in lanes if lane.starting]
    more = max(0, AHEAD - len(waiting))
    for shape in [*waiting, *[shape for shape in demand for _ in range(more)]]:
        cpus += shape.workers * shape.cpus_per_worker
        gpus += shape.workers * shape.gpus_per_worker
    return cpus, gpus


def fits_on(shape: Shape, nodes: Sequence[tuple[float, float]]) -> bool:
    """Whether nodes with so many CPUs and GPUs each hold a lane of this shape, when nothing else runs on them."""
    worker = replace(shape, workers=1)
    return sum(fits(worker, *node) for node in nodes) >= shape.workers


def decide(
    cpus: float,
    gpus: float,
    limit: int,
    lanes: Sequence[LaneState],
    demand: Mapping[Shape, tuple[int, float]],
) -> Decision:
    """Lanes to start now and lanes to drain at their next stage boundary.

    `demand`: for each shape the ready stages and the longest wait in seconds. Idle lanes give way at once to a shape
    that cannot start; busy ones after PATIENCE. A draining lane's room is promised to whoever waits longest, so that
    nothing smaller slips in (a large lane starves otherwise).
    """
    free_cpus = cpus - sum(lane.shape.workers * lane.shape.cpus_per_worker for lane in lanes)
    free_gpus = gpus - sum(lane.shape.workers * lane.shape.gpus_per_worker for lane in lanes)
    start: list[Shape] = []
    drain: list[str] = []
    for shape, (ready, waited) in sorted(demand.items(), key=lambda item: -item[1][1]):
        own = [lane for lane in lanes if lane.shape == shape and not lane.draining]
        idle = sum(1 for lane in own if not lane.busy)
        missing = min(ready - idle, limit - len(lanes) - len(start))
        room = max(0, min(fits(shape, free_cpus, free_gpus), missing))  # nodes that left make what is free negative
        start += [shape] * room
        free_cpus -= room * shape.workers * shape.cpus_per_worker
        free_gpus -= room * shape.workers * shape.gpus_per_worker
        if own or room or ready == 0:
            if own and waited > PATIENCE and all(lane.starting for lane in own):
                # There is room by the sums, but not where it is needed: on one node, or beside somebody else's job.
                drain += [lane.name for lane in lanes if not lane.draining and _is_useless(lane, demand)]
            continue
        slots = limit - len(lanes) - len(start)
        drain += _make_room(shape, free_cpus, free_gpus, slots, lanes, demand, waited > PATIENCE)
        break
    return Decision(tuple(start), tuple(drain))


def _is_useless(lane: LaneState, demand: Mapping[Shape, tuple[int, float]]) -> bool:
    return not lane.busy and lane.shape not in demand


def _make_room(
    shape: Shape,
    free_cpus: float,
    free_gpus: float,
    slots: int,
    lanes: Sequence[LaneState],
    demand: Mapping[Shape, tuple[int, float]],
    impatient: bool,
) -> list[str]:
    """Names of lanes whose end would let one lane of `shape` start; idle ones first.

    `slots`: lanes that may still be started. `shape` has no lane but such as are draining.
    """
    chosen: list[str] = []
    for lane in sorted(lanes, key=lambda lane: (not lane.draining, lane.busy)):
        if slots >= 1 and fits(shape, free_cpus, free_gpus) >= 1:
            break
        if not (lane.draining or impatient or _is_useless(lane, demand)):
            continue
        if not lane.draining:
            chosen.append(lane.name)
        slots += 1
        free_cpus += lane.shape.workers * lane.shape.cpus_per_worker
        free_gpus += lane.shape.workers * lane.shape.gpus_per_worker
    return chosen
