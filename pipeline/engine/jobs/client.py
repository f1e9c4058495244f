"""The jobs of a cluster: submitted, listed, followed, stopped."""

import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict
from urllib.parse import quote, urlsplit

from pipeline.engine.jobs.cluster import Cluster
from pipeline.engine.jobs.server import MissingError, UnreachableError, ask
from pipeline.experiment.errors import UserError
from pipeline.experiment.suggestions import did_you_mean

EXPERIMENT = "ticket_transfer_experiment"
"""Metadata of our jobs: the name of the grid or collection."""
EVERY = 2.0
"""Seconds between two looks at a job that is followed."""
AWAY = 60.0
"""Seconds without an answer after which a cluster that is followed counts as lost."""
CHATTY = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env.packaging")
READY = 60.0
"""Seconds that a cluster which has just started may take to be ready for jobs."""
NOT_READY = "No available agent"
"""What it says until then."""
STOPPING = 90.0
"""Seconds that a job may take to end when it is told to: longer than what clusters/ gives it for its checkpoints."""
STOPPED = 128 + 15
"""Exit code of a run that was ended by SIGTERM, as a stopped job is."""
GONE = 75
"""Exit code of a run whose cluster went away, as the run's own driver has it."""
LOST = ("JOB_SUPERVISOR_ACTOR_DIED", "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE")
"""What Ray calls the end of a job whose node went away."""


class Job(TypedDict, total=False):
    """Ray's details of a job, as far as they are used here."""

    submission_id: str
    status: str
    message: str | None
    metadata: Mapping[str, str] | None
    driver_exit_code: int | None
    error_type: str | None
    start_time: int | None
    """Milliseconds since 1970, as the next one."""
    end_time: int | None


class ClusterLostError(Exception):
    """The cluster does not answer any more; its jobs may be running, or gone with it."""


def submit(
    cluster: Cluster,
    name: str,
    command: str,
    folder: Path,
    *,
    experiment: str,
    environment: Mapping[str, str],
    memory: int,
) -> None:
    """Send `folder` as the job's working directory, and have `command` run in it. Raises UserError if refused.

    `memory`: bytes that the driver needs; 0 leaves it on the head node.
    """
    # Ray's client prefers this variable to the address that it is given, and would send the token to a proxy.
    os.environ["RAY_API_SERVER_ADDRESS"] = cluster.address
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = urlsplit(cluster.address).hostname or ""
    from ray.job_submission import JobSubmissionClient

    for logger in CHATTY:
        logging.getLogger(logger).setLevel(logging.WARNING)
    deadline = time.monotonic() + READY
    while True:
        try:
            JobSubmissionClient(cluster.address, headers=dict(cluster.headers)).submit_job(
                entrypoint=command,
                submission_id=name,
                runtime_env={"working_dir": str(folder), "env_vars": dict(environment)},
                metadata={EXPERIMENT: experiment},
                entrypoint_memory=memory or None,
            )
        except RuntimeError as error:
            if NOT_READY not in str(error):
                raise UserError(f"The cluster refused the job: {str(error)[:1000]}") from error
            if time.monotonic() > deadline:
                raise UserError(
                    f"The cluster at {cluster.address} has taken no job for {READY:.0f} s: the agent of its head node "
                    "is not ready. Try again; if it stays so, look at the node's load, and whether another Ray there "
                    "has the agent's port (--dashboard-agent-listen-port)."
                ) from error
            time.sleep(2.0)
        else:
            return


def jobs(cluster: Cluster) -> list[Job]:
    """All submitted jobs that are runs of this package, the oldest first."""
    found: list[Job] = ask(cluster.address, "/api/jobs/", cluster.headers)
    ours = [job for job in found if job.get("submission_id") and experiment_of(job) is not None]
    return sorted(ours, key=lambda job: job.get("start_time") or 0)


def details(cluster: Cluster, name: str) -> Job:
    """Of one job. Raises UserError if there is none of this name."""
    try:
        found: Job = ask(cluster.address, f"/api/jobs/{quote(name, safe='')}", cluster.headers)
    except MissingError as error:
        known = did_you_mean(name, [job["submission_id"] for job in jobs(cluster)])
        raise UserError(
            f"The cluster at {cluster.address} knows no job {name!r}.{known} `tickets jobs` lists them."
        ) from error
    return found


def logs(cluster: Cluster, name: str) -> str:
    """All that the job has written so far. Raises UserError, also if the node that has it is gone."""
    return str(ask(cluster.address, f"/api/jobs/{quote(name, safe='')}/logs", cluster.headers)["logs"] or "")


def stop(cluster: Cluster, name: str) -> Job:
    """Have the job ended, by SIGTERM and, after the cluster's grace, SIGKILL; its details when it has, or too late."""
    if not has_ended(details(cluster, name)):
        ask(cluster.address, f"/api/jobs/{quote(name, safe='')}/stop", cluster.headers, "POST")
    deadline = time.monotonic() + STOPPING
    while not has_ended(job := details(cluster, name)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return job


def follow(cluster: Cluster, name: str, write: Callable[[str], object]) -> int:
    """Give `write` what the job writes, until it ends; its exit code. Raises UserError, ClusterLostError."""
    written, answered = 0, time.monotonic()
    while True:
        try:
            job = details(cluster, name)  # before its output: what it wrote until it ended is in that
        except UnreachableError as error:
            if time.monotonic() - answered < AWAY:
                time.sleep(EVERY)
                continue
            raise ClusterLostError(str(error)) from error
        answered = time.monotonic()
        text = ""
        with contextlib.suppress(UnreachableError):  # the node that has it is gone, or slow
            text = logs(cluster, name)
        if text[written:]:
            write(text[written:])
        written = max(written, len(text))
        if has_ended(job):
            if why := unsaid(job):
                write(f"{why}\n")
            return exit_code(job)
        time.sleep(EVERY)


def experiment_of(job: Job) -> str | None:
    """Name of the grid or collection; None for a job of somebody else's."""
    return (job.get("metadata") or {}).get(EXPERIMENT)


def has_ended(job: Job) -> bool:
    return job["status"] in ("SUCCEEDED", "FAILED", "STOPPED")


def exit_code(job: Job) -> int:
    """That of the run in an ended job, as a shell would have it."""
    if job["status"] == "SUCCEEDED":
        return 0
    if job["status"] == "STOPPED":
        return STOPPED
    code = job.get("driver_exit_code")
    if code is None:
        return GONE if job.get("error_type") in LOST else 1
    return int(code) if code >= 0 else 128 - int(code)


def unsaid(job: Job) -> str | None:
    """Why a job ended that could not say so itself: it never began, or its node was lost."""
    failed = job["status"] == "FAILED" and job.get("driver_exit_code") is None
    return f"The job failed: {job.get('message') or 'Ray does not say why'}" if failed else None
