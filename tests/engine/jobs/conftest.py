"""Clusters as a submission sees them."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.engine.jobs.cluster import Cluster, ClusterNode

ELSEWHERE = "192.0.2.200"
"""An address for documentation: no machine has it."""


@pytest.fixture(scope="session")
def cluster_of() -> Callable[..., Cluster]:
    """A cluster of nodes, each (CPUs, GPUs, memory in GB), the first of them the head; on other machines by default."""

    def make(*nodes: tuple[float, float, float], grows: bool = False, ip: str = ELSEWHERE) -> Cluster:
        made: list[Any] = [
            ClusterNode(ip, number == 0, cpus, gpus, memory * 1e9) for number, (cpus, gpus, memory) in enumerate(nodes)
        ]
        return Cluster("http://head:8265", "2.60.0", tuple(made), grows)

    return make
