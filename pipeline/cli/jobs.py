"""`tickets jobs`, `logs` and `stop`: runs that were submitted to a Ray cluster."""

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from pipeline.cli.options import JsonOption
from pipeline.cli.quantities import duration
from pipeline.cli.terminal import open_console

if TYPE_CHECKING:
    from pipeline.engine.jobs.cluster import Cluster

VARIABLES = ["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"]
AddressOption = Annotated[
    str,
    typer.Option(
        "--address",
        envvar=VARIABLES,
        metavar="URL",
        help="Where the cluster's dashboard is, which takes jobs too: http://HOST:8265. Where a token is asked for, "
        "it gets Ray's own: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token.",
    ),
]
Job = Annotated[str, typer.Argument(metavar="JOB", help="As `tickets submit` and `tickets jobs` name it.")]
GO_ON = "Finished stages are in the store: submit the same again to go on."


def jobs(address: AddressOption = "", as_json: JsonOption = False) -> None:
    """List the runs that were submitted to a cluster.

    One line a run of `tickets submit`, the oldest first: its name (the JOB of `tickets logs JOB` and `tickets stop
    JOB`), the experiment, pending, running, succeeded, failed or stopped, the exit code of `tickets run` once it has
    ended, when it started, how long it took, and why a job never began. Other jobs of the cluster are left out.
    """
    from pipeline.engine.jobs import client
    from pipeline.engine.jobs.cluster import find_cluster

    found = [
        {
            "job": job["submission_id"],
            "experiment": client.experiment_of(job),
            "status": job["status"],
            "exit_code": client.exit_code(job) if client.has_ended(job) else None,
            "started": (job.get("start_time") or 0) / 1000,
            "seconds": ((job.get("end_time") or time.time() * 1000) - (job.get("start_time") or 0)) / 1000,
            "message": client.unsaid(job),
        }
        for job in client.jobs(find_cluster(address))
    ]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = Table(box=None, padding=(0, 2))
    for column in ("job", "experiment", "status", "exit code", "started", "for", ""):
        table.add_column(column)
    for each in found:
        table.add_row(*map(Text, _row(each)))
    open_console().print(table if found else "No run was submitted to this cluster: `tickets submit FILE` does it.")


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    code = "" if job["exit_code"] is None else str(job["exit_code"])
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job["started"]))
    times = started, duration(job["seconds"])
    return job["job"], job["experiment"], job["status"].lower(), code, *times, job["message"] or ""


def logs(
    job: Job,
    address: AddressOption = "",
    following: Annotated[
        bool, typer.Option("--follow", help="Until the job ends, whose exit code is this command's then.")
    ] = False,
) -> None:
    """Print what a submitted run has written."""
    from pipeline.engine.jobs import client
    from pipeline.engine.jobs.cluster import find_cluster

    cluster = find_cluster(address)
    if following:
        sys.exit(follow_job(cluster, job))
    why = client.unsaid(client.details(cluster, job))
    sys.stdout.write(f"{why}\n" if why else client.logs(cluster, job))


def stop(job: Job, address: AddressOption = "") -> None:
    """End a submitted run; what it has finished stays in the store."""
    from pipeline.engine.jobs import client
    from pipeline.engine.jobs.cluster import find_cluster

    cluster = find_cluster(address)
    now = client.details(cluster, job)
    if client.has_ended(now):
        print(f"{job} had ended already: {now['status'].lower()}.")
        return
    ended = client.stop(cluster, job)
    if not client.has_ended(ended):
        print(f"{job} was told to stop and still runs: {ended['status'].lower()}. Give the command again.")
        sys.exit(1)
    print(f"{job}: {ended['status'].lower()}. {GO_ON}")


def follow_job(cluster: "Cluster", job: str) -> int:
    """Print what the job writes until it ends; its exit code."""
    from pipeline.engine.jobs import client

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    try:
        return client.follow(cluster, job, write)
    except KeyboardInterrupt:
        follow, end = f"tickets logs {job} --follow{at(cluster)}", f"tickets stop {job}{at(cluster)}"
        print(f"\nThe job goes on: `{follow}` follows it, `{end}` ends it.")
        return 130
    except client.ClusterLostError as error:
        print(f"The cluster at {cluster.address} does not answer any more ({error}) {GO_ON}", file=sys.stderr)
        return client.GONE


def at(cluster: "Cluster") -> str:
    """The option that a command needs to find the cluster, if the environment does not name it."""
    named = any(os.environ.get(variable) for variable in VARIABLES)
    return "" if named else f" --address {cluster.address}"
