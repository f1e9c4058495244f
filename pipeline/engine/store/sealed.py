"""JSON files that prove to be whole: each carries its own path and the SHA-256 of all its other bytes.

`{"path":"done/1f...e2.json","content":{...},"sha256":"..."}` and a newline; any flipped, added or lost byte is noticed,
and so is a file under another's name. Checking compares bytes, so that it costs no parsing.
"""

import json
import math
from typing import Any

from pipeline.engine.store.layout import sha256
from pipeline.recipes.keys import canonical

_BEFORE_DIGEST = b',"sha256":"'
_AFTER_DIGEST = b'"}\n'
_TAIL = len(_BEFORE_DIGEST) + 64 + len(_AFTER_DIGEST)


class DamageError(ValueError):
    """The bytes are not what was sealed; the message completes "<path>: ..."."""


def seal(path: str, content: object) -> bytes:
    """The file's bytes. Numbers that JSON does not have (NaN, infinities: a diverged loss) become null."""
    head = _head(path) + canonical(_finite(content)).encode()
    return head + _BEFORE_DIGEST + sha256(head).encode() + _AFTER_DIGEST


def check(path: str, data: bytes) -> bytes:
    """The content's JSON; raises DamageError."""
    if not data:
        raise DamageError("is empty, or a folder")
    head, tail = data[:-_TAIL], data[-_TAIL:]
    if not (head and tail.startswith(_BEFORE_DIGEST) and tail.endswith(_AFTER_DIGEST)):
        raise DamageError("is truncated or was not written by a store")
    if sha256(head).encode() != tail[len(_BEFORE_DIGEST) : -len(_AFTER_DIGEST)]:
        raise DamageError("does not match its SHA-256")
    if not head.startswith(_head(path)):
        raise DamageError("was written under another name")
    return head[len(_head(path)) :]


def unseal(path: str, data: bytes) -> Any:
    """The content; raises DamageError."""
    return json.loads(check(path, data))


def _head(path: str) -> bytes:
    return f'{{"path":{canonical(path)},"content":'.encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
