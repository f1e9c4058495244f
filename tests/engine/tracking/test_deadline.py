"""A server that answers slowly, without end or with a page of errors holds nothing up, and is told in a sentence."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pipeline.engine.tracking.access import check_access
from pipeline.engine.tracking.client import connect
from pipeline.engine.tracking.deadline import LARGEST
from pipeline.engine.tracking.failure_sentences import LONGEST, sentence
from pipeline.engine.tracking.quiet_client import QUIET, client_of
from pipeline.engine.tracking.tracker import Tracker
from pipeline.experiment.grid import Grid

SECONDS = 1
"""Of a request, here."""
MORE = 1.5
"""That a machine with other tests may take."""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PAGE = b"<html>\x1b[31m" + b"e" * 60_000
BEGINNINGS = {
    "head": HEAD + b"X-Slow: ",
    "body": HEAD + b"Content-Length: 100000\r\n\r\n",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    "flood": HEAD + b"Content-Length: 999999999999\r\n\r\n",
    "page": b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE,
    "later": b"HTTP/1.1 503 Busy\r\nRetry-After: 600\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """The address of one that begins its answers like this, and then sends a byte now and then."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(SECONDS))
    for name, value in QUIET.items():
        if name != "MLFLOW_HTTP_REQUEST_TIMEOUT":
            monkeypatch.setenv(name, value)
    client_of("http://127.0.0.1:9")  # importing MLflow takes longer than a request
    listeners = []

    def answer(connection: socket.socket, kind: str) -> None:
        with contextlib.suppress(OSError), connection:
            connection.recv(2**16)
            connection.sendall(BEGINNINGS[kind])
            while kind not in ("page", "later"):
                connection.sendall({"chunks": b"1\r\nx\r\n", "flood": b"x" * 2**20}.get(kind, b"x"))
                time.sleep(0 if kind == "flood" else 0.2)
            connection.recv(2**16)

    def start(kind: str) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=(listener.accept()[0], kind), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_a_request_ends_in_time_and_says_so_in_a_line(server: Callable[[str], str], kind: str) -> None:
    connecting = server(kind)
    began = time.monotonic()
    with pytest.raises(Exception) as problem:
        connect(connecting, "any")
    assert time.monotonic() - began < SECONDS + MORE
    told = sentence(problem.value)
    assert len(told) <= LONGEST + 1 and told.isprintable()
    expected = {"page": r"400.*\\x1b\[31meee", "later": "503", "flood": f"{LARGEST:,}"}
    assert re.search(expected.get(kind, "no whole answer within 1 s"), told)
    wait = time.monotonic() + 10
    while any(thread.name == "request" for thread in threading.enumerate()):
        assert time.monotonic() < wait, "a thread goes on reading"
        time.sleep(0.01)


def test_a_server_that_drips_holds_the_beginning_and_the_end_of_a_run_up_once(
    server: Callable[[str], str], grid: Grid, snapshot: type
) -> None:
    dripping, problems = server("body"), list[str]()
    began = time.monotonic()
    away = check_access(dripping, grid.name)
    assert time.monotonic() - began < SECONDS + MORE and away is not None
    short = Tracker(dripping, grid, on_problem=problems.append)
    short.put_off(away)
    short.log_stages(snapshot(grid))
    began = time.monotonic()
    assert not short.finish()
    assert time.monotonic() - began < SECONDS / 2 and len(problems) == 1, "it was waited for at the beginning"

    problems.clear()
    tracker = Tracker(dripping, grid, on_problem=problems.append)
    tracker.log_stages(snapshot(grid))
    time.sleep(SECONDS / 2)  # its thread is waiting
    began = time.monotonic()
    assert not tracker.finish()
    assert time.monotonic() - began < SECONDS + MORE
    assert len(problems) == 1 and "no whole answer" in problems[0] and "tickets sync" in problems[0]


def test_a_run_gives_a_request_ten_seconds() -> None:
    assert QUIET["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "10"
