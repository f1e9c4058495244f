"""Everything that is in a store, read and checked."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from pipeline.engine.store import layout, payloads, records, sealed
from pipeline.engine.store.filesystem import Listed, StoreFolder
from pipeline.engine.store.problems import Problem, misplaced
from pipeline.engine.store.sealed import DamageError

_READERS = 8
"""Each holds one payload in memory."""
_YOUNG = 3600.0
"""Seconds in which a payload may wait for its record, and a temporary file for its writer."""

Check = Callable[[], Problem | None]


def verify(folder: StoreFolder) -> Iterator[Problem]:
    """Read every file and yield what is damaged, missing or unneeded. A run that goes on meanwhile is no problem."""
    known: dict[str, records.Record | None] = {}
    yield from (misplaced(file) for file in folder.misplaced())
    for file in sorted(folder.files("done")):
        key = layout.parse_record(file.path)
        if key is None:
            yield Problem(file.path, None, "is not the record of a stage")
            continue
        try:
            known[key] = records.decode(key, folder.read_line(file))
        except FileNotFoundError:  # removed since it was listed
            continue
        except DamageError as damage:
            known[key] = None
            yield Problem(file.path, key, f"{damage}; the stage counts as not done")
    with ThreadPoolExecutor(_READERS) as readers:
        yield from filter(None, readers.map(lambda check: check(), _checks(folder, known)))
    yield from _orphans(folder, known)


def _checks(folder: StoreFolder, known: dict[str, records.Record | None]) -> Iterator[Check]:
    for key, record in known.items():
        for output, entry in (record or {"outputs": {}})["outputs"].items():
            if not entry.get("collected"):
                yield partial(_named_payload, folder, key, output, entry)
    for path in sorted(_unnamed(folder, known)):
        yield partial(_by_name, folder, path, layout.parse_payload(path), "payload")
    for file in sorted(folder.files("checkpoints")):
        yield partial(_by_name, folder, file.path, layout.parse_checkpoint(file.path), "checkpoint")
    for file in sorted(folder.files("index")):
        digest = layout.parse_index(file.path)
        named = None if digest is None else (None, digest)
        yield partial(_by_name, folder, file.path, named, "index")
    for area in ("claims", "drivers", "documents"):
        for file in sorted(folder.files(area)):
            yield partial(_sealed_file, folder, file.path)


def _named_payload(folder: StoreFolder, key: str, output: str, entry: records.Output) -> Problem | None:
    try:
        fault = payloads.fault(folder.read(entry["path"]), entry)
    except FileNotFoundError:
        fault = payloads.lasting_fault(folder, key, output, entry)
    return None if fault is None else Problem(entry["path"], key, fault, output)


def _by_name(folder: StoreFolder, path: str, named: tuple[Any, ...] | None, kind: str) -> Problem | None:
    """Check a file whose path says its SHA-256: `named` is what the path says, that hash at its end."""
    if named is None:
        return Problem(path, None, f"is not named like a {kind}")
    try:
        data = folder.read(path)
    except FileNotFoundError:  # removed since it was listed
        return None
    if layout.sha256(data) == named[-1]:
        return None
    return Problem(path, named[0], "does not match the SHA-256 in its name")


def _sealed_file(folder: StoreFolder, path: str) -> Problem | None:
    try:
        sealed.unseal(path, folder.read(path))
    except FileNotFoundError:  # removed since it was listed
        return None
    except DamageError as damage:
        return Problem(path, layout.stem(path) if path.startswith("claims/") else None, str(damage))
    return None


def _unnamed(folder: StoreFolder, known: dict[str, records.Record | None]) -> dict[str, Listed]:
    """Payloads that no record names."""
    named = {
        entry.get("path") for record in known.values() if record is not None for entry in record["outputs"].values()
    }
    return {file.path: file for file in folder.files("outputs") if file.path not in named}


def _orphans(folder: StoreFolder, known: dict[str, records.Record | None]) -> Iterator[Problem]:
    old = (time.time() - _YOUNG) * 1e9
    for path, file in sorted(_unnamed(folder, known).items()):
        named = layout.parse_payload(path)
        # Payloads of a damaged record are not orphans: they serve again when the stage has run again.
        if named is not None and file.mtime_ns < old and known.get(named[0], {}) is not None:
            yield Problem(path, named[0], "is named by no record; it may be deleted", named[1], "information")
    for file in sorted(folder.leftovers()):
        if file.mtime_ns < old:
            yield Problem(
                file.path, None, "was left by a killed writer, or set aside; it may be deleted", severity="information"
            )
