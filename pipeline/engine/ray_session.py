"""Ray for one run: started with patience, and watched, for Ray ends its driver with exit code 1 when it is lost.

Measured with Ray 2.60: 10 to 13 s after its raylet died, 63 s after its head did, and without a Python exception. So a
thread looks at both, says in one sentence that they are gone, and ends the process first.
"""

import contextlib
import errno
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.engine.signals import StoppedError
from pipeline.experiment.errors import UserError

ATTEMPTS = 3
"""How often Ray is started: on a busy machine its parts do not find each other in the 30 s that it gives them."""

GONE = 75
"""Exit code (EX_TEMPFAIL) when the cluster or the board is lost: running again goes on."""

GO_ON = "Finished stages are in the store: run the same command again to go on."

EVERY = 1.0
"""Seconds between two looks at what Ray consists of."""
HEAD_PATIENCE = 8.0
"""Seconds that the head may be away: one that keeps its state elsewhere is started again."""
START_PATIENCE = 20.0
"""The same while Ray starts: `ray.init` waits 65 s for a head that has died, and ends the process then."""

MENDABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""What no further attempt changes: Ray's folder (RAY_TMPDIR) cannot be written."""


class RayLostError(Exception):
    """Ray did not start, or it is gone. The message is a sentence without its full stop."""


def start_ray(address: str, note: Callable[[str], None], stop: threading.Event) -> Any:
    """What `ray.init` returns; a Ray that does not come up is started again, unless the run is to stop by then.

    Raises RayLostError when it did not come up in ATTEMPTS, StoppedError when it did not and `stop` is set, UserError
    for a cluster that refuses the token or an address that is none, and the OSError of a folder that cannot be written.
    """
    import ray

    # `local` is explicit: without it Ray looks for a cluster, and a stale cluster file hangs it for 40 s.
    local = {"include_dashboard": True} if address == "local" else {}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _head_watched(), _signals_left_alone():
                return ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False, **local)
        except ray.exceptions.AuthenticationError as error:
            raise UserError(f"The Ray cluster {address} refuses the token: {first_line(error)}") from error
        except ValueError as error:
            raise UserError(f"--address {address}: {first_line(error)}") from error
        except Exception as error:  # Ray raises whatever its parts did, most of it as a plain Exception
            if isinstance(error, OSError) and error.errno in MENDABLE:
                raise
            with contextlib.suppress(Exception):
                ray.shutdown()
            _end_parts()
            if stop.is_set():
                raise StoppedError from error
            reason, cause = first_line(error), error
        if attempt < ATTEMPTS:
            note(f"Ray did not start ({reason}). Trying again.")
    what = "see that the machine is not overloaded, or leave Ray out with --local"
    if not local:
        what = f"see that the cluster at {address} is up and that --address is right"
    raise RayLostError(f"Ray did not start in {ATTEMPTS} attempts ({reason}): {what}") from cause


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
            _leave(what)


@contextlib.contextmanager
def _signals_left_alone() -> Iterator[None]:
    """`ray.init` begins with a handler for SIGTERM that ends the process with exit code 15 (Ray 2.60)."""
    place: Any = importlib.import_module("ray._private.utils")
    setter = getattr(place, "set_sigterm_handler", None)
    if setter is None:
        yield
        return
    place.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        place.set_sigterm_handler = setter


@contextlib.contextmanager
def _head_watched() -> Iterator[None]:
    """While Ray starts on this machine: the process ends soon after Ray's head has died, which is waited for in C++."""
    ended = threading.Event()

    def watch() -> None:
        heads: dict[int, Any] = {}
        died: float | None = None
        while not ended.wait(EVERY):
            heads |= {part.pid: part for part in _parts() if _name(part) == "gcs_server"}
            if any(not _lives(head) for head in heads.values()):
                died = died or time.monotonic()
                if time.monotonic() - died > START_PATIENCE:
                    _leave("The head of the Ray cluster died while it was started")

    threading.Thread(target=watch, name="watchdog of the start", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _leave(what: str) -> None:
    """End the process, and what it has started of Ray, whatever other threads wait for."""
    if os.isatty(1):
        with contextlib.suppress(OSError):
            os.write(1, b"\x1b[?25h")  # the cursor, which a live display hides; sys.stdout would escape it
    print(f"{what}. {GO_ON}", file=sys.stderr, flush=True)
    with contextlib.suppress(Exception):
        _end_parts()
    os._exit(GONE)


def _parts() -> list[Any]:
    """Processes of Ray that this one has started, and theirs."""
    import ray

    psutil = _psutil()
    package = str(Path(ray.__file__).parent)
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            words = child.cmdline()
            if _name(child) == "gcs_server" or any(package in word or word.startswith("ray::") for word in words):
                found.append(child)
    return found


def _end_parts() -> None:
    for part in _parts():
        with contextlib.suppress(Exception):
            part.send_signal(signal.SIGKILL)


def _name(process: Any) -> str:
    try:
        return str(process.name())
    except _psutil().Error:
        return ""


def _lives(process: Any) -> bool:
    psutil = _psutil()
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _psutil() -> Any:
    """Ray brings it along, in a folder of its own that it puts on the path."""
    return importlib.import_module("psutil")


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


def first_line(error: BaseException) -> str:
    """Of what it says, without the full stop; Ray goes on with traces and logs."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
