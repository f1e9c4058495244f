"""A Ray cluster by the address of its job server: reached, let in to, and asked what it has."""

import importlib.metadata
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from packaging.requirements import Requirement

from pipeline.engine.addresses import shown
from pipeline.engine.jobs.server import HOW, TIMEOUT, TOKEN_FILE, UnreachableError, ask
from pipeline.engine.lanes.cluster_nodes import has_autoscaler
from pipeline.experiment.errors import UserError

PORT = 8265
"""Of Ray's dashboard, which serves jobs, too."""
MODE, TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
"""Ray's own variables."""


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A living node of the cluster."""

    ip: str
    head: bool
    cpus: float
    gpus: float
    memory: float
    """Bytes that Ray hands out to who asks for memory."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a submission has to know of a cluster."""

    address: str
    ray: str
    """Its version."""
    nodes: tuple[ClusterNode, ...]
    grows: bool
    """An autoscaler is at work: there may be more nodes when they are asked for."""
    hosts: tuple[str, ...]
    """Names of the machines."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """With which it lets us in."""

    @property
    def here(self) -> bool:
        """It is on this machine alone: local paths mean the same there, for the same user."""
        mine = bool(self.nodes) and all(_is_mine(node.ip) for node in self.nodes)
        return mine and set(self.hosts) == {socket.gethostname()} and not self.grows


def find_cluster(address: str) -> Cluster:
    """The cluster whose job server is at `address`. Raises UserError if it cannot be used from here."""
    if not address.strip():
        raise UserError(
            "Which cluster? Give --address http://HOST:8265, where its dashboard is (often the end of a tunnel or "
            "port-forward), or set RAY_API_SERVER_ADDRESS."
        )
    url = job_address(address)
    _reach(url)
    asks = asks_for_token(url)
    if not asks and os.environ.get(MODE) != "disabled":
        raise UserError(open_to_all(url))
    headers = authorization() if asks else {}
    version = ask(url, "/api/version", headers)["ray_version"]
    _check_version(url, version)
    found = ask(url, "/api/v0/nodes?detail=1&limit=10000", headers)["data"]["result"]["result"]
    nodes = tuple(_node(each) for each in found if each["state"] == "ALIVE")
    hosts = tuple(ask(url, "/nodes?view=hostnameList", headers)["data"]["hostNameList"])
    status = ask(url, "/api/cluster_status?format=1", headers)["data"]["clusterStatus"]
    return Cluster(url, version, nodes, has_autoscaler(status or ""), hosts, headers)


def asks_for_token(url: str) -> bool:
    """Whether the cluster lets only those in who have its token. Raises UserError where no cluster says so."""
    return bool(ask(url, "/api/authentication_mode", {}).get("authentication_mode") == "token")


def open_to_all(url: str) -> str:
    """Why a cluster that asks for no token is refused, and what to do."""
    return (
        f"The cluster at {url} asks nobody for a token: whoever reaches it runs code on it. Start it with "
        f"{MODE}=token on every node, or set {MODE}=disabled here to use it all the same."
    )


def job_address(address: str) -> str:
    """`http://host:port` of what a person gave: a URL, or host and port. Raises UserError."""
    written = address if "://" in address else f"http://{address}"
    parts = urlsplit(written)
    try:
        port = parts.port
    except ValueError:
        port = None
        parts = parts._replace(netloc="")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.path.strip("/"):
        raise UserError(
            f"--address {shown(address)}: give the address of the cluster's job server, for instance "
            f"http://127.0.0.1:{PORT} (the port of Ray's dashboard; `ray://` and port 6379 are others)."
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or (443 if parts.scheme == 'https' else PORT)}"


def authorization() -> dict[str, str]:
    """The header with the token, from where Ray looks for it, in its order. Raises UserError without one."""
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        named = os.environ.get(TOKEN_FILE)
        file = Path(named).expanduser() if named else Path.home() / ".ray" / "auth_token"
        try:
            token = file.read_text().strip()
        except FileNotFoundError as error:
            if named:
                raise UserError(f"{TOKEN_FILE} names {file}, and there is no such file.") from error
        except OSError as error:
            raise UserError(f"The token's file {file} cannot be read: {error.strerror}.") from error
    if not token:
        raise UserError(f"The cluster asks for a token, and there is none here. {HOW}")
    return {"Authorization": f"Bearer {token}"}


def _reach(url: str) -> None:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or PORT), timeout=TIMEOUT).close()
    except OSError as error:
        raise UnreachableError(
            f"Nothing answers at {url}: {error.strerror or error}. Does the cluster run, is this the port of its "
            "dashboard (8265), and does a tunnel or port-forward lead there?"
        ) from error


def _check_version(url: str, version: str) -> None:
    wanted = next(
        requirement
        for requirement in map(Requirement, importlib.metadata.requires("ticket-transfer") or [])
        if requirement.name == "ray"
    )
    if not wanted.specifier.contains(version, prereleases=True):
        raise UserError(
            f"The cluster at {url} has Ray {version}, and this package needs ray{wanted.specifier} there. Build the "
            "cluster's image or environment anew with this package's requirements."
        )


def _node(found: Mapping[str, Any]) -> ClusterNode:
    has = found["resources_total"]
    return ClusterNode(
        found["node_ip"], found["is_head_node"], has.get("CPU", 0.0), has.get("GPU", 0.0), has.get("memory", 0.0)
    )


def _is_mine(ip: str) -> bool:
    """Only an address of this machine's own can be listened at."""
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET) as probe:
        try:
            probe.bind((ip, 0))
        except OSError:
            return False
    return True
