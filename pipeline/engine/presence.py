"""A driver's sign of life in the store: others see its claims as valid, and leave its weights alone."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from pipeline.engine.store import Store
from pipeline.engine.store.drivers import DriverStatus

EVERY = 5.0
"""Seconds between heartbeats; a driver that is silent for 60 s counts as gone (`Drivers.stale_after`)."""


class Presence(threading.Thread):
    """Use as a context manager: heartbeats in the background, retires at the end."""

    def __init__(self, store: Store, driver: str, describe: Callable[[], DriverStatus]) -> None:
        super().__init__(name="presence", daemon=True)
        self._store, self._driver, self._describe = store, driver, describe
        self._ended = threading.Event()
        self._others = False

    def alone(self) -> bool:
        """No other driver works on this store, as far as the last heartbeat saw."""
        return not self._others

    def __enter__(self) -> "Presence":
        self._beat()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join(timeout=5)
        with contextlib.suppress(OSError):  # a store that is away: without heartbeats the claims are void in a minute
            self._store.claims.retire(self._driver)

    def run(self) -> None:
        while not self._ended.wait(EVERY):
            try:
                self._beat()
            except OSError:
                continue  # a store that is away for a moment: claims are advisory

    def _beat(self) -> None:
        status = self._describe()
        status["machine"], status["pid"] = _machine(), os.getpid()
        self._store.drivers.beat(self._driver, status)
        others = {
            name: heartbeat.status for name, heartbeat in self._store.drivers.living().items() if name != self._driver
        }
        dead = {name for name, status in others.items() if _is_dead(status)}
        for name in dead:
            self._store.claims.retire(name)  # killed on this machine: its claims need not time out
        self._others = bool(others.keys() - dead)


def _machine() -> str:
    """Where a process id means something: host, boot and process namespace."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    known = [boot.read_text().strip(), str(namespace.readlink())] if boot.exists() and namespace.is_symlink() else []
    return "/".join([socket.gethostname(), *known])


def _is_dead(status: DriverStatus) -> bool:
    """The driver ran on this machine, and its process is gone, or has ended without anybody who asked how.

    The first process of a container often asks for none but its own children: what they leave stays there, ended.
    """
    if status.get("machine") != _machine():
        return False
    try:
        os.kill(status["pid"], 0)
        state = Path(f"/proc/{status['pid']}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return True
    except OSError:  # another user's, or a system without /proc
        return False
    return state in ("Z", "X")
