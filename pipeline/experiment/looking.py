"""What is read of data sets while a grid is expanded, each once: sources, targets and seeds share it."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Found = TypeVar("Found")

_seen: ContextVar[dict[Hashable, Any] | None] = ContextVar("_seen", default=None)


@contextmanager
def looking_once() -> Iterator[None]:
    """Within it `seen` looks at a thing once."""
    if _seen.get() is not None:
        yield
        return
    token = _seen.set({})
    try:
        yield
    finally:
        _seen.reset(token)


def seen(what: Hashable, look: Callable[[], Found]) -> Found:
    """What `look` returned for `what` at first, or returns now. Raises what it raises, which is not kept."""
    known = _seen.get()
    if known is None:
        return look()
    if what not in known:
        known[what] = look()
    found: Found = known[what]
    return found
