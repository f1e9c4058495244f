"""Clusters as a submission sees them, and a server that answers as a job server may."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
        hosts = (socket.gethostname() if ip != ELSEWHERE else "head",)
        return Cluster("http://head:8265", "2.60.0", tuple(made), grows, hosts)

    return make


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, Any]], str]]:
    """`serve(answers)` starts a server that gives these in JSON, by path; its address.

    An answer that is a function is called each time; None is "not found", a number a status of its own.
    """
    started: list[ThreadingHTTPServer] = []

    def start(answers: dict[str, Any]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = answers.get(self.path.partition("?")[0])
                found = found() if callable(found) else found
                status = found if isinstance(found, int) else 404 if found is None else 200
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(found).encode())

            def log_message(self, *_: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()
