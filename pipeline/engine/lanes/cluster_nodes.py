"""What the Ray cluster of this driver has, and whether an autoscaler may add to it."""

import re
import time

Node = tuple[float, float]
"""CPUs and GPUs."""

EVERY = 2.0
"""Seconds between two looks at the cluster: a node that joins gets lanes, one that left gets none."""


class Room:
    """How large the cluster is, looked at now and then."""

    def __init__(self) -> None:
        self.nodes = _nodes()
        self.grows = has_autoscaler(_status())
        self._looked = time.monotonic()

    def totals(self) -> Node:
        """CPUs and GPUs that are there."""
        if time.monotonic() - self._looked > EVERY:
            self.nodes, self._looked = _nodes(), time.monotonic()
        return sum(node[0] for node in self.nodes), sum(node[1] for node in self.nodes)


def has_autoscaler(status: str) -> bool:
    """From what `ray status` prints: without an autoscaler each node is a kind of its own, `node_<its id>`.

    Ray's own question (`get_max_resources_from_cluster_config`) has no answer: nobody reports that configuration.
    """
    nodes = status.partition("Active:")[2].partition("Resources")[0]
    kinds = re.findall(r"^ *\d+ ([^\s(]\S*)", nodes, re.MULTILINE)
    return any(not re.fullmatch(r"node_[0-9a-f]{8,}", kind) for kind in kinds)


def _nodes() -> list[Node]:
    import ray

    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [(resources.get("CPU", 0.0), resources.get("GPU", 0.0)) for resources in found]


def _status() -> str:
    """As `ray status` has it, of either version of the autoscaler; empty where that cannot be asked."""
    import ray
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
    from ray.autoscaler._private.commands import debug_status
    from ray.experimental.internal_kv import _internal_kv_get

    try:
        status = _internal_kv_get(DEBUG_AUTOSCALING_STATUS.encode())
        return str(debug_status(status, b"", address=ray.get_runtime_context().gcs_address))
    except Exception:  # a Ray whose autoscaler tells it in another way: the cluster counts as it is
        return ""
