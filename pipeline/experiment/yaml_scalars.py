"""What a single value of a YAML document means: YAML 1.1, but for what it reads otherwise than a person does."""

import re
from typing import Any

TAG = "tag:yaml.org,2002:"
TEXT = frozenset({"str", "timestamp", "value"})
"""Kinds of plain values that are text: a date is its letters."""

MAX_DIGITS = 400
"""Of an integer: more do not fit a float, and take Python long to write."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*|[1-9][0-9]{0,2}(_[0-9]{3})+)")
_FLOAT = re.compile(r"[-+]?(([0-9]+|[1-9][0-9]{0,2}(_[0-9]{3})+)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"([-+]?)\.(inf|nan)", re.IGNORECASE)
_NUMERAL = re.compile(
    r"[-+]?(0[0-9_]+|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)"
)
"""Text that looks like a number, and is another number, or none, for YAML 1.1, YAML 1.2 or a person."""
_QUOTES = "for text, put it in quotes"


class AmbiguousError(ValueError):
    """A value that YAML and a person read differently; the message is what to write."""


def is_empty(node: Any) -> bool:
    """Whether nothing is written where the value should be: `key:`."""
    return node.tag == TAG + "null" and node.value == "" and not node.style


def check_key(node: Any) -> None:
    """Raises AmbiguousError for a key that is no name. A decimal number is the name of its digits."""
    kind = node.tag.removeprefix(TAG)
    if kind not in (*TEXT, "int", "float", "bool", "null"):
        raise AmbiguousError(f"the tag {node.tag!r} is not supported; write plain keys")
    if kind == "null":
        raise AmbiguousError("a key has to be a name")
    if not node.style and _NUMERAL.fullmatch(node.value):
        raise AmbiguousError(_numeral(node.value))


def read_scalar(node: Any, *, free: bool = False) -> object:
    """The value of a composed scalar node: text, a number, a truth value or None.

    Raises AmbiguousError for numbers in a base that a person does not see (010, 1:30, 0x1f); where no field says what
    is wanted (`free`), also for yes, no, on and off. ValueError for what is not of the kind that its tag says.
    """
    kind, written = node.tag.removeprefix(TAG), node.value
    if kind in TEXT:
        if node.style:
            return written
        if _NUMERAL.fullmatch(written):
            raise AmbiguousError(_numeral(written))
        # YAML 1.1 reads 1e-4 and -.5 as text; nobody who writes them means it
        return _float(written) if _FLOAT.fullmatch(written) else written
    if kind == "null":
        return None
    if kind == "bool":
        if free and written.lower() not in ("true", "false"):
            raise AmbiguousError(f"{written} is a truth value in YAML: write true or false; {_QUOTES}")
        return written.lower() in ("true", "yes", "on")
    if kind not in ("int", "float"):
        raise AmbiguousError(f"the tag {node.tag!r} is not supported; write plain values")
    if _NUMERAL.fullmatch(written):
        raise AmbiguousError(_numeral(written))
    if kind == "int" and _INTEGER.fullmatch(written) and len(written) <= MAX_DIGITS:
        return int(written.replace("_", ""))
    if kind == "float":
        return _float(written)
    raise ValueError(f"{written[:40]!r} is not a valid {kind}")


def _float(written: str) -> float:
    special = _NOT_FINITE.fullmatch(written)
    if special:
        return float(special[1] + special[2])
    if not _FLOAT.fullmatch(written):
        raise ValueError(f"{written[:40]!r} is not a valid float")
    return float(written.replace("_", ""))


def _numeral(written: str) -> str:
    """What to write instead of a number that YAML reads as another one."""
    decimal = written.lstrip("+-").lstrip("0_")
    instead = f"{decimal or '0'} or another decimal number" if written.strip("+-0123456789_") == "" else "it in decimal"
    shown = written[:40]
    if ":" in written:
        return f"YAML reads {shown} to the base 60: write a decimal number; {_QUOTES}"
    return f"{shown} is not the same number for YAML as for everybody: write {instead}; {_QUOTES}"
