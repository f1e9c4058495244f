"""Requests to an MLflow server that end in time, whatever the server does.

The timeouts of `requests` count from the last byte that came: a server that sends one byte a second holds a request up
for ever, and one that never stops sending fills the memory.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import ProxyManager

SECONDS = 10.0
"""For a whole answer, where MLflow itself gives no timeout."""
LARGEST = 64 * 2**20
"""Bytes of an answer. A page of 1,000 runs has a tenth of it."""
CHUNK = 2**16


class NoAnswer(requests.exceptions.Timeout):
    """The server has not answered in time; what it was asked for may still happen."""


class Deadline(HTTPAdapter):
    """Takes the timeout of a request for all of it: looking the name up, connecting, every attempt, the whole answer.

    While the server takes a file's bytes the clock stands still: a large report may take as long as its way needs.
    Raises NoAnswer.
    """

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: object) -> None:
        super().init_poolmanager(connections, maxsize, block, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **options: object) -> ProxyManager:
        manager: ProxyManager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: object = None,
        *arguments: object,
        **options: object,
    ) -> requests.Response:
        send: Callable[..., requests.Response] = super().send
        flight = _Flight(timeout if isinstance(timeout, int | float) else SECONDS)
        if hasattr(request.body, "read"):
            request.body = _Sent(request.body, flight)

        def fly() -> None:
            _of_thread.flight = flight
            try:
                answer = send(request, True, timeout, *arguments, **options)
                if not stream:
                    _read_whole(answer)
                flight.answer = answer
            except BaseException as error:  # raised in the thread that waits for it
                flight.error = error
            flight.landed.set()

        threading.Thread(target=fly, name="request", daemon=True).start()
        return flight.wait()


class _Flight:
    """A request under way, in a thread of its own that is left behind when the time is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.last_sent = time.monotonic()
        self.over = False
        self.connection: Any = None
        self.landed = threading.Event()
        self.answer: requests.Response | None = None
        self.error: BaseException | None = None

    def wait(self) -> requests.Response:
        try:
            while not self.landed.wait(max(0.0, left := self.last_sent + self.seconds - time.monotonic())):
                if left <= 0:
                    raise NoAnswer(f"no whole answer within {self.seconds:g} s")
        finally:  # Ctrl-C, too
            if not self.landed.is_set():
                self._abandon()
        if self.error is not None:
            raise self.error
        assert self.answer is not None
        return self.answer

    def _abandon(self) -> None:
        """End the connection, and with it the thread that reads from it."""
        self.over = True
        with contextlib.suppress(AttributeError, OSError):  # not connected yet, or no more
            self.connection.sock.shutdown(socket.SHUT_RDWR)


class _Sent:
    """A file on its way to the server."""

    def __init__(self, file: Any, flight: _Flight) -> None:
        self._file, self._flight = file, flight

    def read(self, *size: int) -> Any:
        self._flight.last_sent = time.monotonic()
        return self._file.read(*size)

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(CHUNK), b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


_of_thread = threading.local()


class _Known:
    """A connection that its thread's flight knows, and that is not used again once that is over."""

    def request(self, *arguments: Any, **options: Any) -> Any:
        flight: _Flight | None = getattr(_of_thread, "flight", None)
        if flight is not None:
            if flight.over:  # this would be another attempt of urllib3's
                raise TimeoutError("nobody waits for the answer any more")
            flight.connection = self
        return super().request(*arguments, **options)  # type: ignore[misc]  # of the connection that this is mixed into


class _Http(_Known, HTTPConnection):
    pass


class _Https(_Known, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


POOLS = {"http": _HttpPool, "https": _HttpsPool}


def _read_whole(answer: requests.Response) -> None:
    """Have the content as `requests` would, but not without end."""
    chunks, size = [], 0
    for chunk in answer.iter_content(CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST:
            answer.close()
            raise requests.exceptions.ContentDecodingError(f"the answer has more than {LARGEST:,} bytes")
    answer._content, answer._content_consumed = b"".join(chunks), True
