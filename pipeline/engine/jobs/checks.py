"""What could not work on a cluster, said before anything is sent there."""

import re
from collections.abc import Sequence

from pipeline.engine.addresses import shown
from pipeline.engine.jobs.cluster import Cluster
from pipeline.engine.lanes.capacity import fits_on
from pipeline.engine.tracking.uri import SQLITE, check_tracking_uri
from pipeline.experiment.errors import UserError
from pipeline.experiment.stages import Shape
from pipeline.lottery.counting import count_of
from pipeline.lottery.credentials import holds_secret

LOOPBACK = re.compile(r"(?:[/@=]|%2F)(localhost|127\.\d+\.\d+\.\d+|\[::1\])(?=[:/&]|%3A|$)", re.IGNORECASE)
"""In a URI, or in a parameter of one (`endpoint_override`)."""


def check_addresses(cluster: Cluster, store: str, tracking: str) -> None:
    """Raises UserError for a store or tracking URI with a password in it, or one that the cluster cannot reach."""
    for option, uri in (("--store", store), ("--tracking", tracking)):
        if holds_secret(uri):
            raise UserError(
                f"{option} {shown(uri)}: its credentials would be shown to everybody who sees the cluster's jobs. Give "
                "them to the cluster's nodes by their environment (AWS_ACCESS_KEY_ID, MLFLOW_TRACKING_USERNAME, ...)."
            )
    if tracking != "none":
        check_tracking_uri(tracking)
    if cluster.here:
        return
    if _is_path(store):
        raise UserError(
            f"--store {store}: a path on this machine, and the cluster at {cluster.address} is on others. Give a store "
            "that every node reaches, for instance s3://bucket/folder, or a folder that all of them mount, as "
            "file:///folder."
        )
    if tracking.startswith(SQLITE):
        raise UserError(
            f"--tracking {tracking}: a file on this machine, and the cluster at {cluster.address} is on others. Give "
            "the http address of an MLflow server, or `none`; `tickets sync` logs to MLflow from the store later."
        )
    for option, uri in (("--store", store), ("--tracking", tracking)):
        if "://" in uri and (host := LOOPBACK.search(uri)):
            raise UserError(
                f"{option} {shown(uri)}: {host[1]} is another machine for the cluster at {cluster.address}. Give the "
                "address that its nodes reach the server by."
            )


def check_resources(cluster: Cluster, shapes: Sequence[Shape]) -> str | None:
    """What an autoscaler would have to add. Raises UserError where the cluster is too small, and does not grow."""
    nodes = [(node.cpus, node.gpus) for node in cluster.nodes]
    for shape in shapes:
        if fits_on(shape, nodes):
            continue
        workers = count_of(shape.workers, "worker")
        wants = f"{workers} with {shape.cpus_per_worker:g} CPU and {shape.gpus_per_worker:g} GPU each"
        has = (
            f"{count_of(len(nodes), 'node')} with {count_of(sum(node[0] for node in nodes), 'CPU')} and "
            f"{count_of(sum(node[1] for node in nodes), 'GPU')} in all"
        )
        if not cluster.grows:
            raise UserError(
                f"resources: the grid asks for {wants}; the cluster at {cluster.address} has {has}, and no autoscaler "
                "that would add any. Lower `resources` in the grid, or use a larger cluster."
            )
        return (
            f"The grid asks for {wants}, and the cluster has {has}: the run waits for its autoscaler. What that cannot "
            "add, `ray status` on the head node names."
        )
    return None


def _is_path(store: str) -> bool:
    return "://" not in store
