"""Outputs of stages: files named by their content, written once, checked whenever they are read."""

import contextlib
from collections.abc import Iterable
from typing import NamedTuple

from pipeline.engine.store import layout, records
from pipeline.engine.store.filesystem import StoreFolder
from pipeline.engine.store.problems import CorruptOutput, MissingOutput
from pipeline.engine.store.records import Output
from pipeline.engine.store.sealed import DamageError


class Payload(NamedTuple):
    """The bytes of one output, and their SHA-256."""

    data: bytes
    sha256: str


def put(folder: StoreFolder, key: str, output: str, data: bytes, suffix: str) -> Output:
    """Write the payload, over a damaged one of its name if need be; returns its entry for the record's `outputs`."""
    digest = layout.sha256(data)
    path = layout.payload(key, output, digest, suffix)
    folder.write(path, data)
    return {"path": path, "sha256": digest, "size": len(data)}


def exists(folder: StoreFolder, entry: Output) -> bool:
    """Whether the payload of a record's entry is there with the right size."""
    found = folder.stat(entry["path"])
    return found is not None and found.size == entry["size"]


def fault(data: bytes, entry: Output) -> str | None:
    """What is wrong with a payload's bytes, to complete "<output> ..."."""
    if len(data) != entry["size"]:
        return _wrong_size(len(data), entry)
    if layout.sha256(data) != entry["sha256"]:
        return "does not match its SHA-256"
    return None


def fault_of_file(folder: StoreFolder, entry: Output) -> str | None:
    """What is wrong with the payload of a record's entry; None for one that is gone."""
    try:
        return fault(folder.read(entry["path"]), entry)
    except FileNotFoundError:
        return None


def lasting_fault(folder: StoreFolder, key: str, output: str, entry: Output) -> str | None:
    """Why a payload is not there as its record says; None if it is, or if the record says otherwise by now."""
    found = folder.stat(entry["path"])
    if found is not None and found.size == entry["size"]:
        return None
    try:
        record = records.load(folder, key)
    except DamageError:
        return None
    if record is None or record["outputs"].get(output) != entry:
        return None
    return "is missing though its record names it" if found is None else _wrong_size(found.size, entry)


def _wrong_size(size: int, entry: Output) -> str:
    return f"has {size} bytes instead of {entry['size']}"


def read(folder: StoreFolder, key: str, output: str, known: records.Record | None = None) -> Payload:
    """What was written; raises MissingOutput or CorruptOutput (also for a damaged record).

    `known`: the stage's record as somebody has it, which is read anew only where the output is not as that says.
    """
    entry = known["outputs"].get(output) if known is not None else None
    if entry is not None and "path" in entry:
        with contextlib.suppress(MissingOutput, CorruptOutput):
            return Payload(read_entry(folder, key, output, entry), entry["sha256"])
    try:
        record = records.load(folder, key)
    except DamageError as damage:
        raise CorruptOutput(key, None, layout.record(key), str(damage)) from damage
    if record is None:
        raise MissingOutput(key, output, layout.record(key), "is missing, because the stage is not done")
    entry = record["outputs"].get(output)
    if entry is None:
        raise MissingOutput(key, output, layout.record(key), "is not among the outputs of its record")
    if entry.get("collected"):
        raise MissingOutput(key, output, layout.record(key), "was removed to save space")
    return Payload(read_entry(folder, key, output, entry), entry["sha256"])


def read_entry(folder: StoreFolder, key: str, output: str, entry: Output) -> bytes:
    """The bytes that the entry of a record names; raises MissingOutput or CorruptOutput."""
    try:
        data = folder.read(entry["path"])
    except FileNotFoundError:
        raise MissingOutput(key, output, entry["path"], "is missing though its record names it") from None
    wrong = fault(data, entry)
    if wrong is not None:
        raise CorruptOutput(key, output, entry["path"], wrong)
    return data


def delete(folder: StoreFolder, key: str, outputs: Iterable[str]) -> None:
    """Remove every payload of these outputs, also those that no record names any more."""
    unwanted = set(outputs)
    for listed in folder.files(layout.outputs(key)):
        named = layout.parse_payload(listed.path)
        if named is not None and named[1] in unwanted:
            folder.delete(listed.path)
