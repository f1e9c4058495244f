"""What the Ray cluster of this driver has, and what its autoscaler could add."""

import time
from typing import Any

Node = tuple[float, float]
"""CPUs and GPUs."""

MANY = 1000
"""Nodes of a kind, where the autoscaler names no limit."""

EVERY = 2.0
"""Seconds between two looks at the cluster: a node that joins gets lanes, one that left gets none."""


class Room:
    """How large the cluster is, looked at now and then."""

    def __init__(self) -> None:
        self.now = nodes_now()
        self.at_most = nodes_at_most()
        self._looked = time.monotonic()

    def totals(self) -> Node:
        """CPUs and GPUs to plan lanes with: those that are there, or that an autoscaler starts for lanes that wait."""
        if time.monotonic() - self._looked > EVERY:
            self.now, self._looked = nodes_now(), time.monotonic()
        cpus, gpus = zip(*(total(self.now), total(self.at_most)), strict=True)
        return max(cpus), max(gpus)


def nodes_now() -> list[Node]:
    """The nodes that are alive."""
    import ray

    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [(resources.get("CPU", 0.0), resources.get("GPU", 0.0)) for resources in found]


def nodes_at_most() -> list[Node]:
    """All nodes that there are once the autoscaler has started as many as it may; none without an autoscaler."""
    from ray._private.state import state  # as Ray Train itself asks, when it checks a request before it waits

    config = state.get_cluster_config()
    return possible(config.node_group_configs) if config else []


def possible(groups: Any) -> list[Node]:
    """From the autoscaler's groups of nodes, each with `resources` and a `max_count`, where -1 is no limit."""
    return [
        (float(group.resources.get("CPU", 0)), float(group.resources.get("GPU", 0)))
        for group in groups
        for _ in range(MANY if group.max_count < 0 else group.max_count)
    ]


def total(nodes: list[Node]) -> Node:
    return sum(node[0] for node in nodes), sum(node[1] for node in nodes)
