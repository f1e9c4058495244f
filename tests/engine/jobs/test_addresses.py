"""The address of a cluster's job server: what is understood, and who is let in."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.engine.jobs.cluster import MODE, TOKEN, TOKEN_FILE, authorization, find_cluster, job_address
from pipeline.experiment.errors import UserError

NODE = {
    "node_ip": "127.0.0.1",
    "is_head_node": True,
    "state": "ALIVE",
    "resources_total": {"CPU": 8.0, "GPU": 1.0, "memory": 16e9},
}
OPEN = {"/api/authentication_mode": {"authentication_mode": "disabled"}}
ANSWERS = {
    **OPEN,
    "/api/version": {"ray_version": "2.60.0"},
    "/api/v0/nodes": {"data": {"result": {"result": [NODE, {**NODE, "state": "DEAD"}]}}},
    "/api/cluster_status": {"data": {"clusterStatus": {"autoscalerReport": {"nodeTypeMapping": {"a": "node_a"}}}}},
}


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, object]], str]]:
    """Start a server that gives these answers in JSON; its address."""
    started: list[ThreadingHTTPServer] = []

    def start(answers: dict[str, object]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = answers.get(self.path.partition("?")[0])
                self.send_response(404 if found is None else 200)
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


def test_a_server_that_is_not_rays_is_told(serve: Callable[[dict[str, object]], str]) -> None:
    with pytest.raises(UserError, match="does not answer as a Ray job server does"):
        find_cluster(serve({}))


def test_a_cluster_without_tokens_is_refused_unless_one_says_so(
    serve: Callable[[dict[str, object]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(ANSWERS)
    monkeypatch.setenv(MODE, "token")
    with pytest.raises(UserError, match=r"whoever reaches it runs code on it.*RAY_AUTH_MODE=token on every node"):
        find_cluster(url)
    monkeypatch.setenv(MODE, "disabled")
    cluster = find_cluster(url)
    assert (cluster.ray, cluster.here, cluster.grows) == ("2.60.0", True, False)
    assert [(node.cpus, node.gpus, node.memory, node.head) for node in cluster.nodes] == [(8.0, 1.0, 16e9, True)]


def test_a_ray_that_this_package_cannot_use_is_refused(
    serve: Callable[[dict[str, object]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MODE, "disabled")
    with pytest.raises(UserError, match=r"has Ray 2.9.0, and this package needs ray"):
        find_cluster(serve({**ANSWERS, "/api/version": {"ray_version": "2.9.0"}}))


def test_kinds_of_nodes_with_names_of_their_own_are_an_autoscalers(
    serve: Callable[[dict[str, object]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MODE, "disabled")
    report = {"nodeTypeMapping": {"a": "head", "b": "gpu-workers"}}
    growing = {"data": {"clusterStatus": {"autoscalerReport": report}}}
    assert find_cluster(serve({**ANSWERS, "/api/cluster_status": growing})).grows


def test_the_token_is_found_where_ray_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (TOKEN, TOKEN_FILE):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="there is none here"):
        authorization()
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("from home\n")
    assert authorization() == {"Authorization": "Bearer from home"}
    (tmp_path / "token").write_text("from a file\n")
    monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "token"))
    assert authorization() == {"Authorization": "Bearer from a file"}
    monkeypatch.setenv(TOKEN, "from the environment")
    assert authorization() == {"Authorization": "Bearer from the environment"}
