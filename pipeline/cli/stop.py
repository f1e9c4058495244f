"""`tickets stop`: the end of a submitted run."""

import sys

from pipeline.cli.cluster_address import GO_ON, AddressOption, Job


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
