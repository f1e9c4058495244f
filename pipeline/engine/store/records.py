"""The record of a finished stage: what it must hold, and how a newer one joins an older one."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.engine.store import layout, sealed
from pipeline.engine.store.filesystem import Folder
from pipeline.engine.store.sealed import DamageError

Record = dict[str, Any]

_REQUIRED: Mapping[str, type | tuple[type, ...]] = {
    "fields": dict,
    "status": str,
    "outputs": dict,
    "inputs": dict,
    "summary": dict,
    "finished": (int, float),
}
_STATUS = ("ok", "diverged")


def encode(record: Record) -> bytes:
    """The bytes of `done/<key>.json`; raises ValueError for a record that no reader would accept."""
    fault = _fault(record, record["key"])
    if fault is not None:
        raise ValueError(f"The record of stage {record['key']} {fault}.")
    return sealed.seal(layout.record(record["key"]), record)


def decode(key: str, data: bytes) -> Record:
    """The record in the bytes of `done/<key>.json`; raises DamageError."""
    record = json.loads(sealed.check(layout.record(key), data))
    fault = _fault(record, key)
    if fault is not None:
        raise DamageError(fault)
    return dict(record)


def load(folder: Folder, key: str) -> Record | None:
    """The record as it is now, None where there is none; raises DamageError."""
    try:
        data = folder.read(layout.record(key))
    except FileNotFoundError:
        return None
    return decode(key, data)


def merge(record: Record, older: Record, exists: Callable[[Mapping[str, Any]], bool]) -> Record:
    """`record` with those outputs of `older` that it lacks and that still exist, or are marked as collected.

    An output that was collected between its writing and this record (another driver made it, too, and read it last)
    stays collected.
    """
    collected = {name for name, entry in older["outputs"].items() if entry.get("collected")}
    made = {
        name: entry
        for name, entry in record["outputs"].items()
        if not entry.get("collected") and (name not in collected or exists(entry))
    }
    kept = {
        name: entry
        for name, entry in older["outputs"].items()
        if name not in made and (name in collected or exists(entry))
    }
    return {**record, "outputs": {**record["outputs"], **kept, **made}}


def say_the_same(one: Record, other: Record) -> bool:
    """Whether both have the same results, whenever and wherever they were made."""
    return all(one[name] == other[name] for name in ("status", "outputs", "inputs", "summary"))


def _fault(record: Any, key: str) -> str | None:
    """What is wrong with it, to complete "The record ..."."""
    if not isinstance(record, dict):
        return "is not a JSON object"
    if record.get("key") != key:
        return f"is that of another stage, {record.get('key')!r}"
    for name, kind in _REQUIRED.items():
        if not isinstance(record.get(name), kind):
            return f"lacks {name!r}, or has it with a wrong type"
    if record["status"] not in _STATUS:
        return f"has the status {record['status']!r}, which is none of {', '.join(_STATUS)}"
    for name, entry in record["outputs"].items():
        if not _is_entry(key, name, entry):
            return f"does not say where its output {name!r} is"
    return None


def _is_entry(key: str, name: str, entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    if entry.get("collected") is True:
        return True
    path, size = entry.get("path"), entry.get("size")
    if not isinstance(path, str) or not isinstance(size, int):
        return False
    return layout.parse_payload(path) == (key, name, entry.get("sha256"))
