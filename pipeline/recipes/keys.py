"""Content keys: the SHA-256 of what a stage means, never of where or how it runs."""

import hashlib
import json
from collections.abc import Mapping

RECIPE = 1
"""Raised by hand when the meaning of a stage changes; every key changes with it."""


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces; NaN and infinities are refused (ValueError)."""
    return _CANONICAL.encode(value)


def key_of(fields: Mapping[str, object]) -> str:
    """64 hexadecimal digits that name a stage by its semantic fields, its parents' keys among them."""
    return hashlib.sha256(canonical(fields).encode()).hexdigest()
