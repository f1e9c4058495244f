"""The address of a cluster's job server: what is understood, and who is let in."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.jobs.cluster import MODE, TOKEN, authorization, find_cluster, job_address
from pipeline.engine.jobs.server import TOKEN_FILE
from pipeline.experiment.errors import UserError

NODE = {
    "node_ip": "127.0.0.1",
    "is_head_node": True,
    "state": "ALIVE",
    "resources_total": {"CPU": 8.0, "GPU": 1.0, "memory": 16e9},
}
STATUS = """======== Autoscaler status: 2026-11-28 01:05:00 ========
Node status
---------------------------------------------------------------
Active:
 1 {}
Idle:
 (no idle nodes)
Pending:
 (no pending nodes)
Recent failures:
 (no failures)

Resources
---------------------------------------------------------------
Total Usage:
 0.0/2.0 CPU
"""
ALONE = "node_02ca36f2e751f1309760adb32a8347943036d4c4fa1ca38a80ac9885"
ANSWERS: dict[str, Any] = {
    "/api/authentication_mode": {"authentication_mode": "disabled"},
    "/api/version": {"ray_version": "2.60.0"},
    "/api/v0/nodes": {"data": {"result": {"result": [NODE, {**NODE, "state": "DEAD"}]}}},
    "/nodes": {"data": {"hostNameList": [socket.gethostname()]}},
    "/api/cluster_status": {"data": {"clusterStatus": STATUS.format(ALONE)}},
}
Serve = Callable[[dict[str, Any]], str]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://head:8265", "http://head:8265"),
        ("http://head:8265/", "http://head:8265"),
        ("head:9000", "http://head:9000"),
        ("head", "http://head:8265"),
        ("https://ray.example.org", "https://ray.example.org:443"),
        ("http://[::1]:8265", "http://[::1]:8265"),
    ],
)
def test_an_address_is_a_url_or_host_and_port(given: str, meant: str) -> None:
    assert job_address(given) == meant


@pytest.mark.parametrize(
    "given", ["ray://head:10001", "http://", "http://me:secret@head:8265", "head:port", "http://h/x"]
)
def test_what_is_no_job_servers_address_is_refused_without_showing_passwords(given: str) -> None:
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:8265") as refused:
        job_address(given)
    assert "secret" not in str(refused.value)


def test_an_address_at_which_nothing_listens_is_told() -> None:
    with pytest.raises(UserError, match=r"Nothing answers at http://127.0.0.1:9"):
        find_cluster("127.0.0.1:9")


def test_a_server_that_is_not_rays_is_told(serve: Serve) -> None:
    with pytest.raises(UserError, match="does not answer as a Ray job server does"):
        find_cluster(serve({}))


def test_a_cluster_without_tokens_is_refused_unless_one_says_so(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    url = serve(ANSWERS)
    monkeypatch.setenv(MODE, "token")
    with pytest.raises(UserError, match=r"whoever reaches it runs code on it.*RAY_AUTH_MODE=token on every node"):
        find_cluster(url)
    monkeypatch.setenv(MODE, "disabled")
    cluster = find_cluster(url)
    assert (cluster.ray, cluster.here, cluster.grows) == ("2.60.0", True, False)
    assert [(node.cpus, node.gpus, node.memory, node.head) for node in cluster.nodes] == [(8.0, 1.0, 16e9, True)]


def test_a_ray_that_this_package_cannot_use_is_refused(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODE, "disabled")
    with pytest.raises(UserError, match=r"has Ray 2.9.0, and this package needs ray"):
        find_cluster(serve({**ANSWERS, "/api/version": {"ray_version": "2.9.0"}}))


@pytest.mark.parametrize("kind", ["headgroup", "local.cluster.node", "ray.head.default"])
def test_kinds_of_nodes_with_names_of_their_own_are_an_autoscalers(
    kind: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MODE, "disabled")
    growing = find_cluster(serve({**ANSWERS, "/api/cluster_status": {"data": {"clusterStatus": STATUS.format(kind)}}}))
    assert growing.grows and not growing.here, "its workers come from elsewhere"


@pytest.mark.parametrize(
    "answers",
    [
        {"/nodes": {"data": {"hostNameList": ["another-machine"]}}},
        {"/nodes": {"data": {"hostNameList": [socket.gethostname(), "another-machine"]}}},
        {"/api/v0/nodes": {"data": {"result": {"result": [{**NODE, "node_ip": "192.0.2.200"}]}}}},
        {"/api/v0/nodes": {"data": {"result": {"result": []}}}},
    ],
)
def test_a_cluster_is_here_only_if_all_of_it_is(
    answers: dict[str, Any], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a tunnel, another machine's nodes may have addresses that are this machine's, too."""
    monkeypatch.setenv(MODE, "disabled")
    assert find_cluster(serve(ANSWERS)).here
    assert not find_cluster(serve({**ANSWERS, **answers})).here


def test_no_proxy_sees_what_is_sent_to_a_cluster(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODE, "disabled")
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert find_cluster(serve(ANSWERS)).ray == "2.60.0"


def test_the_token_is_found_where_ray_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (TOKEN, TOKEN_FILE):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="there is none here"):
        authorization()
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("from home\n")
    assert authorization() == {"Authorization": "Bearer from home"}
    monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "token"))
    with pytest.raises(UserError, match=r"RAY_AUTH_TOKEN_PATH names .*token, and there is no such file"):
        authorization()
    (tmp_path / "token").write_text("from a file\n")
    assert authorization() == {"Authorization": "Bearer from a file"}
    monkeypatch.setenv(TOKEN, "from the environment")
    assert authorization() == {"Authorization": "Bearer from the environment"}
