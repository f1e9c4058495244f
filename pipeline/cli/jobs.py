"""`tickets jobs`, `logs` and `stop`: runs that were submitted to a Ray cluster."""

import json
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

AddressOption = Annotated[
    str,
    typer.Option(
        "--address",
        envvar=["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"],
        help="Job server of the Ray cluster, e.g. http://127.0.0.1:8265. The token is found as Ray finds it.",
    ),
]
Job = Annotated[str, typer.Argument(metavar="JOB", help="As `tickets submit` and `tickets jobs` name it.")]
GO_ON = "Finished stages are in the store: submit the same again to go on."


def jobs(address: AddressOption, as_json: JsonOption = False) -> None:
    """List the runs that were submitted to a cluster."""
    from pipeline.engine.jobs.client import EXPERIMENT, Jobs, exit_code
    from pipeline.engine.jobs.cluster import find_cluster

    found = [
        {
            "job": job.submission_id,
            "experiment": (job.metadata or {}).get(EXPERIMENT),
            "status": str(job.status.value),
            "exit_code": exit_code(job) if job.status.is_terminal() else None,
            "started": (job.start_time or 0) / 1000,
            "seconds": ((job.end_time or time.time() * 1000) - (job.start_time or 0)) / 1000,
        }
        for job in Jobs(find_cluster(address)).list()
        if EXPERIMENT in (job.metadata or {})
    ]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = Table(box=None, padding=(0, 2))
    for column in ("job", "experiment", "status", "exit code", "started", "for"):
        table.add_column(column)
    for job in found:
        table.add_row(*map(Text, _row(job)))
    open_console().print(table if found else "The cluster has no jobs of this package.")


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    code = "" if job["exit_code"] is None else str(job["exit_code"])
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job["started"]))
    return job["job"], job["experiment"], job["status"].lower(), code, started, duration(job["seconds"])


def logs(
    job: Job,
    address: AddressOption,
    following: Annotated[
        bool, typer.Option("--follow", help="Until the job ends, whose exit code is this command's then.")
    ] = False,
) -> None:
    """Print what a submitted run has written."""
    from pipeline.engine.jobs.client import Jobs
    from pipeline.engine.jobs.cluster import find_cluster

    cluster = find_cluster(address)
    if following:
        sys.exit(follow(cluster, job))
    client = Jobs(cluster)
    client.get(job)
    sys.stdout.write(client.logs(job))


def stop(job: Job, address: AddressOption) -> None:
    """End a submitted run; what it has finished stays in the store."""
    from pipeline.engine.jobs.client import Jobs
    from pipeline.engine.jobs.cluster import find_cluster

    client = Jobs(find_cluster(address))
    if client.get(job).status.is_terminal():
        print(f"{job} had ended already: {client.get(job).status.value.lower()}.")
        return
    ended = client.stop(job)
    if not ended.status.is_terminal():
        print(f"{job} was told to stop and still runs: {ended.status.value.lower()}. Give the command again.")
        sys.exit(1)
    print(f"{job}: {ended.status.value.lower()}. {GO_ON}")


def follow(cluster: "Cluster", job: str) -> int:
    """Print what the job writes until it ends; its exit code."""
    from pipeline.engine.jobs.client import ClusterLostError, Jobs
    from pipeline.engine.ray_lanes import GONE

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    try:
        return Jobs(cluster).follow(job, write)
    except KeyboardInterrupt:
        print(f"\nThe job goes on: `tickets logs {job} --follow` follows it, `tickets stop {job}` ends it.")
        return 130
    except ClusterLostError as error:
        print(f"The cluster at {cluster.address} does not answer any more ({error}). {GO_ON}", file=sys.stderr)
        return GONE
