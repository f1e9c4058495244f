"""Counts with their nouns, as messages of every floor say them."""


def count_of(count: float, one: str, many: str = "") -> str:
    """`1 stage`, `2,400 stages`, `0.5 CPUs`; `many` where it is not `one` with an s."""
    number = f"{count:,}" if isinstance(count, int) else f"{count:g}"
    return f"{number} {one if count == 1 else many or one + 's'}"
