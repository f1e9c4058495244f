"""A Ray cluster by the address of its job server: reached, let in to, and asked what it has."""

import importlib.metadata
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from packaging.requirements import Requirement

from pipeline.engine.addresses import shown
from pipeline.experiment.errors import UserError

PORT = 8265
"""Of Ray's dashboard, which serves jobs, too."""
TIMEOUT = 10.0
"""Seconds for one answer."""
MODE, TOKEN, TOKEN_FILE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""Ray's own variables."""
HOW = (
    f"Put the cluster's token into the file ~/.ray/auth_token (`ray get-auth-token` on the cluster prints it), or "
    f"name a file with {TOKEN_FILE}."
)


class UnreachableError(UserError):
    """Nothing answers, or not in time."""


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
    """An autoscaler with kinds of nodes of its own is at work: there may be more nodes when they are asked for."""

    @property
    def here(self) -> bool:
        """All of its nodes are this machine: local paths mean the same there, for the same user."""
        return all(_is_mine(node.ip) for node in self.nodes)


def find_cluster(address: str) -> Cluster:
    """The cluster whose job server is at `address`. Raises UserError if it cannot be used from here."""
    url = job_address(address)
    _reach(url)
    headers = authorization() if asks_for_token(url) else {}
    version = _get(url, "/api/version", headers)["ray_version"]
    _check_version(url, version)
    found = _get(url, "/api/v0/nodes?detail=1&limit=10000", headers)["data"]["result"]["result"]
    nodes = tuple(_node(each) for each in found if each["state"] == "ALIVE")
    status = _get(url, "/api/cluster_status", headers)
    return Cluster(url, version, nodes, _grows(status))


def asks_for_token(url: str) -> bool:
    """Whether the cluster lets only those in who have its token.

    Raises UserError if not, unless the user says that this is meant.
    """
    if _get(url, "/api/authentication_mode", {}).get("authentication_mode") == "token":
        return True
    if os.environ.get(MODE) != "disabled":
        raise UserError(
            f"The cluster at {url} asks nobody for a token: whoever reaches it runs code on it. Start it with "
            f"{MODE}=token on every node, or set {MODE}=disabled here to use it all the same."
        )
    return False


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
        except FileNotFoundError:
            pass
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


def _get(url: str, path: str, headers: Mapping[str, str]) -> Any:
    import requests

    try:
        answer = requests.get(url + path, headers=dict(headers), timeout=TIMEOUT)
    except requests.exceptions.RequestException as error:
        raise UnreachableError(f"{url} does not answer as a Ray cluster does: {_reason(error)}.") from error
    if answer.status_code in (401, 403):
        raise UserError(f"The cluster at {url} refuses the token that was given. {HOW}")
    try:
        answer.raise_for_status()
        return answer.json()
    except (requests.exceptions.RequestException, ValueError) as error:
        raise UserError(
            f"{url}{path.partition('?')[0]} does not answer as a Ray job server does (status {answer.status_code}). "
            "Is it the address of the dashboard, and is the cluster not much older than this machine's Ray?"
        ) from error


def _reason(error: Exception) -> str:
    """Without the long inner text of connection errors."""
    return type(error).__name__ if len(str(error)) > 200 else str(error).rstrip(".")


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


def _grows(status: Mapping[str, Any]) -> bool:
    """A cluster without an autoscaler reports its nodes as kinds of their own, `node_<its id>`."""
    report = ((status.get("data") or {}).get("clusterStatus") or {}).get("autoscalerReport") or {}
    kinds = report.get("nodeTypeMapping") or {}
    return any(kind != f"node_{node}" for node, kind in kinds.items())


def _is_mine(ip: str) -> bool:
    """Only an address of this machine's own can be listened at."""
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET) as probe:
        try:
            probe.bind((ip, 0))
        except OSError:
            return False
    return True
