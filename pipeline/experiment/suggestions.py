"""The nearest valid name for a mistyped one."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(written: object, valid: Iterable[str]) -> str:
    """ " Did you mean 'x'?" where a name is close, else " Valid: a, b, c." (a leading space, to be appended)."""
    names = sorted(set(valid))
    text = str(written)[:100]
    close = get_close_matches(text, names, n=1, cutoff=0.6)
    if not close:
        # a prefix or a name within the name is a hint too: "crop_size" for "crop"
        close = [name for name in names if len(name) > 2 and len(text) > 2 and (name in text or text in name)][:1]
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" Valid: {', '.join(names[:20])}." if names else ""
