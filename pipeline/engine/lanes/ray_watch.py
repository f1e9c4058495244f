"""Watching what Ray consists of, for Ray ends its driver with exit code 1 when it is lost.

Measured with Ray 2.60: 10 to 13 s after its raylet died, 63 s after its head did, and without a Python exception. So a
thread looks at both, says in one sentence that they are gone, and ends the process first.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

from pipeline.engine.lanes import ray_processes

EVERY = 1.0
"""Seconds between two looks at what Ray consists of."""
HEAD_PATIENCE = 8.0
"""Seconds that the head may be away: one that keeps its state elsewhere is started again."""
START_PATIENCE = 20.0
"""The same while Ray starts: `ray.init` waits 65 s for a head that has died, and ends the process then."""


class Watch(threading.Thread):
    """Ends the process when the head of the cluster, or the raylet of this machine, is gone; `end` ends the watch."""

    def __init__(self, on_exit: Callable[[], None]) -> None:
        """`on_exit`: what is still to be done then. Ray is asked for its addresses here: later it might not answer."""
        import ray

        super().__init__(name="watchdog", daemon=True)
        context = ray.get_runtime_context()
        self._head = _address(context.gcs_address)
        here = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
        self._raylet = (here["NodeManagerAddress"], here["NodeManagerPort"])
        self._on_exit = on_exit
        self._ended = threading.Event()

    def end(self) -> None:
        self._ended.set()

    def lost(self) -> bool:
        """Whether one of the two does not answer at this moment."""
        return _is_refused(self._raylet) or not _answers(self._head)

    def run(self) -> None:
        head_lost_since: float | None = None
        raylet_lost = 0
        while not self._ended.wait(EVERY):
            raylet_lost = raylet_lost + 1 if _is_refused(self._raylet) else 0
            if raylet_lost == 2:
                self.leave("Ray's process on this machine, its raylet, has died")
            if _answers(self._head):
                head_lost_since = None
            else:
                head_lost_since = head_lost_since or time.monotonic()
                if time.monotonic() - head_lost_since > HEAD_PATIENCE:
                    self.leave("The head of the Ray cluster is gone")

    def leave(self, what: str) -> None:
        """End the process now, unless the watch has been ended."""
        if not self._ended.is_set():
            with contextlib.suppress(Exception):
                self._on_exit()
            ray_processes.leave(what)


@contextlib.contextmanager
def head_watched_while_it_starts() -> Iterator[None]:
    """The process ends soon after the head that it starts on this machine has died, which is waited for in C++."""
    ended = threading.Event()

    def watch() -> None:
        heads = ray_processes.Heads()
        died: float | None = None
        while not ended.wait(EVERY):
            if heads.one_died():
                died = died or time.monotonic()
                if time.monotonic() - died > START_PATIENCE:
                    ray_processes.leave("The head of the Ray cluster died while it was started")

    threading.Thread(target=watch, name="watchdog of the start", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _answers(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=3):
            return True
    except OSError:
        return False


def _is_refused(address: tuple[str, int]) -> bool:
    """Nobody listens there; a process that is only stopped, or busy, is no such case."""
    try:
        with socket.create_connection(address, timeout=3):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
