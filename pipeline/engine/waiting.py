"""What a command waits for is on the screen when it takes longer than two seconds."""

import contextlib
import threading
from collections.abc import Callable, Iterator

AFTER = 2.0
"""Seconds."""


@contextlib.contextmanager
def waiting(what: str, say: Callable[[str], None]) -> Iterator[None]:
    """Say `what` if the block takes longer than AFTER: "Starting Ray" is said as "Starting Ray ..."."""
    timer = threading.Timer(AFTER, say, [f"{what} ..."])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
