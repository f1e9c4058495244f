"""The one error of a recipe that cannot be."""

from collections.abc import Iterable
from difflib import get_close_matches


class UnfitError(ValueError):
    """Something does not fit the rest; `at` is the key that it is about, relative to who asked."""

    def __init__(self, what: str, *at: str | int) -> None:
        super().__init__(what)
        self.what = what
        self.at = at


def unknown_name(what: str, name: object, known: Iterable[str], more: str = "") -> str:
    """Sentences on a name that there is not, with one that is like it; `more`: what else there is than these."""
    names = list(known)
    near = get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"There is no {what} {name!r}.{hint} {what[0].upper()}{what[1:]}s: {', '.join(names)}{more}."
