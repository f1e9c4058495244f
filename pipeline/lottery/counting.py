"""Counts with their nouns, as messages of every floor say them."""


def counted(count: int, one: str, many: str = "") -> str:
    """`1 stage`, `2,400 stages`; `many` where it is not `one` with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
