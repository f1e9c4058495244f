"""`tickets logs`: what a submitted run has written, and writes."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.cluster_address import GO_ON, AddressOption, Job, at

if TYPE_CHECKING:
    from pipeline.engine.jobs.cluster import Cluster


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
