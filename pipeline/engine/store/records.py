"""The record of a finished stage: what it must hold, and how a newer one joins an older one."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NotRequired, Protocol, TypedDict

from pipeline.engine.store import layout, sealed
from pipeline.engine.store.filesystem import StoreFolder
from pipeline.engine.store.sealed import DamageError


class Output(TypedDict, total=False):
    """Where one output of a stage is, or that it was collected."""

    path: str
    sha256: str
    size: int
    transient: bool
    """It may be collected once the stages that read it are done."""
    collected: bool
    """It was removed to save space; nothing else is said then."""


class Record(TypedDict):
    """What `done/<key>.json` says of a finished stage. Those that an earlier program wrote may lack the last ones."""

    key: str
    fields: Mapping[str, Any]
    """The stage, as its key is made of it."""
    status: str
    """`ok` or `diverged`."""
    outputs: dict[str, Output]
    inputs: Mapping[str, str]
    """SHA-256 of what was read, by role."""
    summary: Mapping[str, Any]
    """Of a training its metrics at the end; of a pruning how much is left."""
    finished: float
    """Unix time, as `started`."""
    label: NotRequired[str]
    started: NotRequired[float]
    seconds: NotRequired[float]
    iterations: NotRequired[int]
    timed_iterations: NotRequired[int]
    """Those of this attempt: a checkpoint has spared it the others."""
    gpus_per_worker: NotRequired[float]
    attempt: NotRequired[str]
    driver: NotRequired[str]
    hardware: NotRequired[Mapping[str, str]]
    versions: NotRequired[Mapping[str, str]]
    git_commit: NotRequired[str]


_REQUIRED: Mapping[str, type | tuple[type, ...]] = {
    "fields": dict,
    "status": str,
    "outputs": dict,
    "inputs": dict,
    "summary": dict,
    "finished": (int, float),
}
_STATUS = ("ok", "diverged")


class Records(Protocol):
    """Whoever has records by the keys of their stages: a store, or its state at one moment."""

    def record(self, key: str) -> Record | None:
        """None where the stage is not done."""


def encode(record: Record) -> bytes:
    """The bytes of `done/<key>.json`; raises ValueError for a record that no reader would accept."""
    fault = _fault(record, record["key"])
    if fault is not None:
        raise ValueError(f"The record of stage {record['key']} {fault}.")
    return sealed.seal(layout.record(record["key"]), record)


def decode(key: str, data: bytes) -> Record:
    """The record in the bytes of `done/<key>.json`; raises DamageError."""
    record: Record = json.loads(sealed.check(layout.record(key), data))
    fault = _fault(record, key)
    if fault is not None:
        raise DamageError(fault)
    return record


def load(folder: StoreFolder, key: str) -> Record | None:
    """The record as it is now, None where there is none; raises DamageError."""
    try:
        data = folder.read(layout.record(key))
    except FileNotFoundError:
        return None
    return decode(key, data)


def merge(record: Record, older: Record, exists: Callable[[Output], bool]) -> Record:
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
    same = one["status"] == other["status"] and one["outputs"] == other["outputs"]
    return same and one["inputs"] == other["inputs"] and one["summary"] == other["summary"]


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
