"""What is read of data sets while a grid is expanded, each once: sources, targets and seeds share it."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Found = TypeVar("Found")

_read: ContextVar[dict[Hashable, Any] | None] = ContextVar("_read", default=None)


@contextmanager
def reading_once() -> Iterator[None]:
    """Within it `once` reads a thing once."""
    if _read.get() is not None:
        yield
        return
    token = _read.set({})
    try:
        yield
    finally:
        _read.reset(token)


def once(what: Hashable, read: Callable[[], Found]) -> Found:
    """What `read` returned for `what` at first, or returns now. Raises what it raises, which is not kept."""
    known = _read.get()
    if known is None:
        return read()
    if what not in known:
        known[what] = read()
    found: Found = known[what]
    return found
