"""The one error of a recipe that cannot be, and how what a file says becomes recipes."""

from collections.abc import Mapping
from typing import Any, TypeVar

Made = TypeVar("Made")


class UnfitError(ValueError):
    """Something does not fit the rest; `at` is the key that it is about, relative to who asked."""

    def __init__(self, what: str, *at: str | int) -> None:
        super().__init__(what)
        self.what = what
        self.at = at


def made(kind: type[Made], fields: Mapping[str, Any] | object, what: str) -> Made:
    """A recipe of its fields by name, lists as tuples. Raises UnfitError for fields that it has not, or lacks."""
    if not isinstance(fields, Mapping):
        raise UnfitError(f"{what} is no mapping but {type(fields).__name__}.")
    try:
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})
    except TypeError as error:
        raise UnfitError(f"{what} cannot be read from {dict(fields)}: {error}.") from error


def check_count(what: str, value: object, least: int = 1) -> None:
    """Raises UnfitError for what is no whole number, or less than `least`."""
    if type(value) is not int or value < least:
        raise UnfitError(f"The {what} is {value!r}: it must be a whole number of at least {least}.")


def check_one_of(what: str, value: object, known: tuple[str, ...]) -> None:
    """Raises UnfitError for a word that is not known."""
    if value not in known:
        raise UnfitError(f"{what} cannot be {value!r}: use one of {', '.join(known)}.")
