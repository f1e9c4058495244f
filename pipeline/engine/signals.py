"""SIGINT and SIGTERM stop a run cleanly; a second one ends it at once."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

ONE_EVENT = 1.0
"""Seconds within which signals are the same one: a scheduler tells all processes of a job, and the command's parent
process passes on what it was told."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, where it is to end the program as Ctrl-C does."""


class StoppedError(Exception):
    """The run was told to stop before it could begin."""


@dataclass(slots=True)
class Stop:
    """Whether the run is to stop, and by which signal (0: none)."""

    event: threading.Event = field(default_factory=threading.Event)
    signal: int = 0


@contextlib.contextmanager
def stop_on_signals(say: Callable[[str], None]) -> Iterator[Stop]:
    """A Stop that signals set; outside the main thread, where Python allows no handlers, nothing sets it."""
    stop = Stop()
    first = 0.0

    def handle(number: int, _: Any) -> None:
        nonlocal first
        if stop.signal and time.monotonic() - first < ONE_EVENT:
            return
        if stop.signal:
            raise KeyboardInterrupt
        stop.signal, first = number, time.monotonic()
        stop.event.set()
        say("Stopping: stages in flight are checkpointed. Once more to end at once.")

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def terminated_on_sigterm() -> Iterator[None]:
    """SIGTERM raises Terminated wherever no other handler is in place; outside the main thread nothing is done."""

    def handle(number: int, _: Any) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
