"""Counts with their nouns, and lists cut short, as messages of every floor say them."""

from collections.abc import Iterable


def count_of(count: float, one: str, many: str = "") -> str:
    """`1 stage`, `2,400 stages`, `0.5 CPUs`; `many` where it is not `one` with an s."""
    number = f"{count:,}" if isinstance(count, int) else f"{count:g}"
    return f"{number} {one if count == 1 else many or one + 's'}"


def listed(names: Iterable[str], shown: int) -> str:
    """The first `shown` of them, and how many more there are."""
    found = list(names)
    return ", ".join(found[:shown]) + (f" and {len(found) - shown:,} more" if len(found) > shown else "")
