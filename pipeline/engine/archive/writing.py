"""Writes an archive: a zip file whose members are a store's own files, so ordered and dated that equal content is equal
bytes. Its last 64 bytes, the zip file's comment, are the SHA-256 of all bytes before them."""

import os
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from pipeline.engine.archive.choice import Choice, choose
from pipeline.engine.archive.manifest import NAME, SIGNATURE, TABLES, ArchiveManifest, Carried, Member, signature
from pipeline.engine.archive.places import delivered
from pipeline.engine.experiments import document_of
from pipeline.engine.store import MissingOutput, Store, layout, payloads, sealed
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import Grid

_READERS = 8
"""Each holds one output in memory."""
_AHEAD = 64
"""Outputs that are read before they are written."""
_ATTEMPTS = 5
"""How often the store is looked at anew where a run that goes on has removed what was to be written."""


class Written(NamedTuple):
    """An archive that was written."""

    manifest: ArchiveManifest
    lost: int
    """Outputs that are not in it because the store has lost them."""


def write(
    grid: Grid, store: Store, place: str, carried: Carried = "tickets", tables: Mapping[str, bytes] | None = None
) -> Written:
    """Archive what `store` has of `grid` at `place`, a path or a URI, in the place of what is there.

    `tables`: further members, by their names below `tables/`. The file appears whole or not at all. Raises UserError
    where nothing is done yet, where an output is damaged, and for a place where no file can be.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return _write(grid, store, place, carried, tables or {})
        except MissingOutput:
            if attempt + 1 == _ATTEMPTS:
                raise
    raise AssertionError


def _write(grid: Grid, store: Store, place: str, carried: Carried, tables: Mapping[str, bytes]) -> Written:
    choice = choose(grid, store.snapshot(), carried)
    if not choice.records:
        raise UserError(f"Nothing of {grid.name} is done in {store}: there is nothing to archive.")
    document, content = document_of(grid)
    small = {layout.document(document): sealed.seal(layout.document(document), content)}
    small |= {layout.record(key): data for key, data in choice.records.items()}
    small |= {TABLES + table: data for table, data in tables.items()}
    members = {path: Member(path, len(data), layout.sha256(data)) for path, data in small.items()}
    members |= {path: Member(path, entry["size"], entry["sha256"]) for path, (_, _, entry) in choice.payloads.items()}
    manifest = ArchiveManifest(grid.name, carried, len(choice.records), len(grid.stages), members)
    with delivered(place) as file:
        with zipfile.ZipFile(file, "w") as archive:
            _add(archive, NAME, manifest.encode())
            for path in sorted(small):
                _add(archive, path, small[path])
            for path, data in _read(store, choice):
                _add(archive, path, data)
            archive.comment = b"0" * SIGNATURE
        _sign(file)
    return Written(manifest, choice.lost)


def _read(store: Store, choice: Choice) -> Iterator[tuple[str, bytes]]:
    """Outputs in the order of their paths, each checked. Raises CorruptOutput and MissingOutput."""
    wanted = sorted(choice.payloads)

    def read(path: str) -> bytes:
        key, output, entry = choice.payloads[path]
        return payloads.read_entry(store.folder, key, output, entry)

    with ThreadPoolExecutor(_READERS) as readers:
        for first in range(0, len(wanted), _AHEAD):
            block = wanted[first : first + _AHEAD]
            yield from zip(block, readers.map(read, block), strict=True)


def _add(archive: zipfile.ZipFile, path: str, data: bytes) -> None:
    member = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
    member.create_system, member.external_attr = 3, 0o100644 << 16
    archive.writestr(member, data, zipfile.ZIP_DEFLATED, 6)


def _sign(file: Path) -> None:
    with file.open("r+b") as opened:
        signed = signature(opened)
        opened.seek(-SIGNATURE, os.SEEK_END)
        opened.write(signed)
        opened.flush()
        os.fsync(opened.fileno())
