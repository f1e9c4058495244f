"""Real services on loopback, and what stands between them and a run."""

import contextlib
import http.client
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

QUICKSTART = Path(__file__).parents[2] / "experiments" / "quickstart.yaml"
CUT = ["seeds=[0, 1]", "prune.rounds=2", "training.length=2ep", "training.lr_decay=null"]
"""The quickstart with a smaller budget: 36 stages, half of them for each seed."""
ALLOWED = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ["arn:aws:s3:::tickets", "arn:aws:s3:::not-there"]},
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "Resource": "arn:aws:s3:::tickets/*",
        },
    ],
}
"""What the store says that it needs, and no more. Whether a bucket is missing is told to those who may list it."""
SETTINGS = ("TICKETS_", "AWS_", "MLFLOW_")


class FaultyProxy:
    """Stands in front of an HTTP server. `fault`: what to do with a request (method, path) instead of passing it on.

    `"503 SlowDown"` answers as S3 does, `"reset"` ends the connection, `"stall"` does not answer until the proxy is
    gone, `"truncate"` breaks off in the middle of the answer's body; None passes the request on.
    """

    def __init__(self, server: int) -> None:
        self.server = server
        self.fault: Callable[[str, str], str | None] = lambda method, path: None
        self.seen: list[tuple[str, str, str | None]] = []
        """Method, path and fault of each request."""
        self.port = 0
        self._up()

    def away(self) -> None:
        """Refuse connections, those that are open too."""
        self._listener.shutdown()
        self._listener.server_close()
        for connection in list(self._listener.connections):
            with contextlib.suppress(OSError):  # it has just been closed
                connection.shutdown(socket.SHUT_RDWR)

    def back(self) -> None:
        self._up()

    def _up(self) -> None:
        self._listener = _Listener(("127.0.0.1", self.port), _Request)
        self._listener.proxy = self
        self.port = self._listener.server_port
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()


class _Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    proxy: FaultyProxy

    def __init__(self, *arguments: Any) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, *_: Any) -> None:  # a client that is gone, or a connection that `away` has closed
        pass


class _Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def log_message(self, *_: Any) -> None: ...

    def _handle(self) -> None:
        proxy, body = self.server.proxy, self._body()
        fault = proxy.fault(self.command, self.path)
        if fault is None and "Authorization" not in self.headers:
            fault = "403 AccessDenied"  # as S3 does; moto breaks on a request that nobody has signed
        proxy.seen.append((self.command, self.path, fault))
        if fault == "reset":
            self.close_connection = True
        elif fault == "stall":
            time.sleep(60)
        elif fault in (None, "truncate"):
            self._pass_on(body, whole=fault is None)
        else:
            status, code = fault.split()
            told = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as the test wants it</Message></Error>"
            self._answer(int(status), [("Content-Type", "application/xml")], told.encode(), len(told))

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _handle  # noqa: N815 - called so by the base class

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return b"".join(parts)

    def _pass_on(self, body: bytes, whole: bool) -> None:
        server = http.client.HTTPConnection("127.0.0.1", self.server.proxy.server)
        server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        ours = ("connection", "expect", "transfer-encoding", "content-length")
        for name, value in [(name, value) for name, value in self.headers.items() if name.lower() not in ours]:
            server.putheader(name, value)
        server.putheader("Content-Length", str(len(body)))
        server.endheaders(body)
        answer = server.getresponse()
        data = answer.read()
        size = int(answer.getheader("Content-Length", len(data)))
        server.close()
        headers = [
            (name, value) for name, value in answer.getheaders() if name.lower() not in (*ours, "server", "date")
        ]
        self._answer(answer.status, headers, data if whole else data[: len(data) // 2], size)
        if not whole:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, size: int) -> None:
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(size))]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@dataclass(frozen=True)
class S3:
    """An S3 server with users, and the proxy before it through which stores are asked."""

    proxy: FaultyProxy
    key: str
    secret: str

    def environment(self, **changes: str) -> dict[str, str]:
        """For a process that has credentials; `changes` replace variables, an empty one takes them away."""
        ours = {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.proxy.port}",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",  # no request may leave this machine
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **changes,
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
        return kept | {name: value for name, value in ours.items() if value}


@pytest.fixture(scope="session")
def _s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    boto3 = pytest.importorskip("boto3")
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("w") as said:
        command = [sys.executable, "-m", "moto.server", "-p", "0"]
        process = subprocess.Popen(
            command, stdout=said, stderr=said, env=os.environ | {"AWS_EC2_METADATA_DISABLED": "true"}
        )
    try:
        port = _port_said(log, process)
        address = f"http://127.0.0.1:{port}"
        options = {"endpoint_url": address, "aws_access_key_id": "x", "aws_secret_access_key": "x"}
        boto3.client("s3", region_name="us-east-1", **options).create_bucket(Bucket="tickets")
        boto3.client("s3", region_name="us-east-1", **options).create_bucket(Bucket="of-others")
        iam = boto3.client("iam", region_name="us-east-1", **options)
        iam.create_user(UserName="researcher")
        iam.put_user_policy(UserName="researcher", PolicyName="store", PolicyDocument=json.dumps(ALLOWED))
        known = iam.create_access_key(UserName="researcher")["AccessKey"]
        # From here on the server checks signatures and policies.
        headers = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(f"{address}/moto-api/reset-auth", b"0", headers)).close()
        yield S3(FaultyProxy(port), known["AccessKeyId"], known["SecretAccessKey"])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _port_said(log: Path, process: "subprocess.Popen[bytes]") -> int:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"Running on http://127\.0\.0\.1:(\d+)", log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.05)
    pytest.fail(f"the S3 server did not start: {log.read_text()}")


@pytest.fixture
def s3(_s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The server, without faults; this process has its credentials, too."""
    _s3_server.proxy.fault = lambda method, path: None
    _s3_server.proxy.seen.clear()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in _s3_server.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return _s3_server


@pytest.fixture(scope="session")
def quickstart() -> Callable[..., list[str]]:
    """The arguments of `tickets run`, and of others, for the quickstart with a budget that is cut, and `changes`."""
    return lambda *changes: [str(QUICKSTART), *(word for change in (*CUT, *changes) for word in ("--set", change))]
