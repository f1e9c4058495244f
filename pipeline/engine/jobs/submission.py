"""A job: the command that the cluster runs, and where its driver has room."""

import importlib.metadata
import os
import re
import shlex
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.engine.jobs.cluster import Cluster
from pipeline.engine.lanes.capacity import CONTROLLER_BYTES, fits, lane_limit
from pipeline.experiment.errors import UserError
from pipeline.experiment.stages import Shape
from pipeline.recipes.keys import RECIPE

DRIVER_BYTES = 1.5e9
"""Memory of the driver itself and of its board, beside the lanes' controllers."""

SUBMITTED = "TICKETS_SUBMITTED_WITH"
"""In the environment of a job that uses the cluster's own package: the one that it was submitted with."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the driver of a job goes."""

    lanes: int | None
    """At most so many, as the user says or as their controllers have room; None: the run sees for itself."""
    memory: int
    """Bytes to ask for; 0 lets it run on the head node, as Ray does by itself."""


def place_driver(cluster: Cluster, shapes: Sequence[Shape], stages: int, lanes: int | None) -> Placement:
    """The driver runs on the head node if the lanes' controllers have room there, else on the node with most memory.

    `shapes`: of the grid's stages, `stages` their number; `lanes`: at most so many, as the user says. Of a node's
    memory, half is for them, as in `lane_limit`. Where a cluster grows, the driver keeps to the head: workers come and
    go.
    """
    head = max((node.memory for node in cluster.nodes if node.head), default=0.0)
    largest = max((node.memory for node in cluster.nodes), default=0.0)
    if cluster.grows:
        return Placement(min(lanes or lane_limit(head), lane_limit(head)), 0)
    wanted = min(stages, lanes or stages, _lanes_that_fit(cluster, shapes))
    if wanted <= lane_limit(head) or head == largest:
        return Placement(lanes if wanted <= lane_limit(head) else lane_limit(head), 0)
    fewer = min(wanted, lane_limit(largest))
    return Placement(fewer, int(min(largest, DRIVER_BYTES + fewer * CONTROLLER_BYTES)))


def job_name(experiment: str) -> str:
    """A fresh one that says whose job it is; part of addresses and of the names of files."""
    return f"tickets-{re.sub(r'[^A-Za-z0-9.-]+', '-', experiment)[:60]}-{uuid.uuid4().hex[:8]}"


def entrypoint(cluster: Cluster, arguments: Sequence[str], *, installed: bool) -> str:
    """The shell command of the job. `exec`: signals reach the driver itself, and its exit code is the job's."""
    if installed:
        program = ["tickets"]
    else:
        # Ray gives a job no word of the interpreter that it runs in; of a cluster here it is this one's, most likely.
        program = [sys.executable if cluster.here else "python", "-m", "pipeline"]
    return f"exec {shlex.join([*program, *arguments])}"


def _lanes_that_fit(cluster: Cluster, shapes: Sequence[Shape]) -> int:
    cpus, gpus = sum(node.cpus for node in cluster.nodes), sum(node.gpus for node in cluster.nodes)
    return max(fits(shape, cpus, gpus) for shape in shapes)


def identity() -> str:
    """This package's version, and that of its recipes: what has to be the same where a job is submitted and run."""
    return f"{importlib.metadata.version('ticket-transfer')}, recipes {RECIPE}"


def check_identity() -> None:
    """Raises UserError in a job whose package is another than that of who submitted it."""
    submitted = os.environ.get(SUBMITTED)
    if submitted is not None and submitted != identity():
        raise UserError(
            f"This cluster has ticket-transfer {identity()}, and the run was submitted with {submitted}. Build the "
            "cluster's image anew, or submit without --installed."
        )
