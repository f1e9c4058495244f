"""An archive that somebody hands over: nothing of it is believed before it is checked, and nothing in it runs."""

import hashlib
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pipeline.engine import grid_documents
from pipeline.engine.archive import manifest as manifests
from pipeline.engine.archive.manifest import NAME, SIGNATURE, TABLES, ArchiveManifest, Member, signature
from pipeline.engine.experiments import GRIDS, document_of
from pipeline.engine.store import layout, records, sealed
from pipeline.engine.store.records import Record
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import Grid
from pipeline.recipes.keys import key_of

_CHUNK = 2**20
_MOST = 2**28
"""Bytes of a grid, or of the manifest: 256 MB, a million stages."""
_MOST_RECORD = 2**22
"""Bytes of a record; one of 2,000 layers has a tenth of it."""
_OPTIONAL: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("label", "attempt", "driver", "git_commit"), str),
    **dict.fromkeys(("iterations", "timed_iterations"), int),
    **dict.fromkeys(("started", "seconds", "gpus_per_worker"), (int, float)),
    **dict.fromkeys(("hardware", "versions"), dict),
}
"""Types of what a record may have beside what it must have."""


class ArchiveError(UserError):
    """The file is no archive, or not what was written."""


@dataclass(frozen=True)
class Archive:
    """An archive whose members were all read and found whole."""

    manifest: ArchiveManifest
    grid: Grid
    records: dict[str, Record]
    """By key of the stage."""
    _file: zipfile.ZipFile

    def read(self, path: str) -> bytes:
        """A member, checked once more. Raises ArchiveError."""
        return b"".join(_chunks(self._file, self.manifest.members[path]))


@contextmanager
def opened(file: Path) -> Iterator[Archive]:
    """Check all of `file`, and give what is in it. Raises ArchiveError that names the member at fault."""
    try:
        with file.open("rb") as raw:
            signed = signature(raw)
            raw.seek(max(0, raw.seek(0, 2) - SIGNATURE))
            if raw.read() != signed:
                raise ArchiveError("it is cut off or altered: it does not end with the SHA-256 of what is before.")
        with zipfile.ZipFile(file) as archive:
            yield _checked(archive)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, UnicodeDecodeError) as error:
        raise ArchiveError(f"it is no archive of `tickets archive`: {error}.") from error
    except ArchiveError as error:
        raise ArchiveError(f"{file.name} is not imported: {error}") from error


def _checked(archive: zipfile.ZipFile) -> Archive:
    manifest = _manifest(archive)
    _check_names(archive, manifest)
    documents, found, seen = [], {}, set()
    for path, member in manifest.members.items():
        if path.startswith(TABLES):
            for _ in _chunks(archive, member):
                pass
        elif path.startswith("done/"):
            key, record = _record(archive, member)
            found[key] = record
        elif path.startswith("documents/"):
            documents.append(_grid(archive, member))
        else:
            seen.add(_payload(archive, member))
    if len(documents) != 1 or documents[0].name != manifest.experiment:
        raise ArchiveError(f"it should have the grid of {manifest.experiment}, and has {len(documents)} grids.")
    (grid,) = documents
    if foreign := sorted(found.keys() - grid.stages.keys()):
        raise ArchiveError(f"{layout.record(foreign[0])} is of no stage of {grid.name}.")
    if (len(found), len(grid.stages)) != (manifest.done, manifest.stages):
        raise ArchiveError(f"{NAME} counts {manifest.done} of {manifest.stages} stages, and {len(found)} are there.")
    named = {
        (entry["path"], entry["size"], entry["sha256"])
        for record in found.values()
        for entry in record["outputs"].values()
        if "path" in entry
    }
    if missing := sorted(named - seen):
        raise ArchiveError(f"{missing[0][0]}, which a record names, is not in it as it should be.")
    if unnamed := sorted(seen - named):
        raise ArchiveError(f"{unnamed[0][0]} is named by no record.")
    return Archive(manifest, grid, found, archive)


def _manifest(archive: zipfile.ZipFile) -> ArchiveManifest:
    try:
        info = archive.getinfo(NAME)
    except KeyError:
        raise ArchiveError(f"it has no {NAME}: it is no archive of `tickets archive`.") from None
    _check_kind(info)
    if info.file_size > _MOST:
        raise ArchiveError(f"{NAME} would have {info.file_size:,} bytes.")
    try:
        return manifests.decode(b"".join(_unpacked(archive, NAME, info.file_size)))
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{NAME} {error}.") from error


def _check_names(archive: zipfile.ZipFile, manifest: ArchiveManifest) -> None:
    """Every member is one that the manifest names, once, a plain file of that size, in a place that a store has."""
    names = [info.filename for info in archive.infolist()]
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise ArchiveError(f"{twice} is in it twice.")
    if foreign := sorted(set(names) - manifest.members.keys() - {NAME}):
        raise ArchiveError(f"{foreign[0]} is not named by {NAME}.")
    if missing := sorted(manifest.members.keys() - set(names)):
        raise ArchiveError(f"{missing[0]} is missing.")
    for info in archive.infolist():
        _check_kind(info)
        if info.filename != NAME and info.file_size != manifest.members[info.filename].size:
            size = manifest.members[info.filename].size
            raise ArchiveError(f"{info.filename} would have {info.file_size:,} bytes, and {NAME} says {size:,}.")
    for path in manifest.members:
        if not _belongs(path):
            raise ArchiveError(f"{path} is no place of a store.")


def _check_kind(info: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    packed = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if kind not in (0, stat.S_IFREG) or info.is_dir() or info.flag_bits & 0x1 or not packed:
        raise ArchiveError(f"{info.filename} is no plain file.")


def _belongs(path: str) -> bool:
    """Whether `path` is that of a table, or, letter for letter, one that a store's layout makes."""
    area, _, below = path.partition("/")
    try:
        if area == "tables":
            return layout.name(below) == below
        if area == "done":
            key = layout.parse_record(path)
            return key is not None and layout.record(key) == path
        if area == "documents":
            return layout.document(f"{GRIDS}/{path.removeprefix(f'documents/{GRIDS}/').removesuffix('.json')}") == path
        parsed = layout.parse_payload(path)
        return parsed is not None and layout.payload(*parsed, path.rpartition(".")[2]) == path
    except ValueError:
        return False


def _record(archive: zipfile.ZipFile, member: Member) -> tuple[str, Record]:
    key = layout.stem(member.path)
    if member.size > _MOST_RECORD:
        raise ArchiveError(f"{member.path} would have {member.size:,} bytes.")
    try:
        record = records.decode(key, _json(archive, member))
        if key_of(record["fields"]) != key:
            raise ArchiveError(f"{member.path} is the record of another stage: its fields have another key.")
        if wrong := [name for name, kind in _OPTIONAL.items() if name in record and not isinstance(record[name], kind)]:  # type: ignore[literal-required]  # names of a Record
            raise ArchiveError(f"{member.path} has a wrong type of {', '.join(wrong)}.")
    except ArchiveError:
        raise
    except (ValueError, TypeError, RecursionError) as error:  # DamageError is one, and what no JSON can be
        raise ArchiveError(f"{member.path} {error}.") from error
    return key, record


def _grid(archive: zipfile.ZipFile, member: Member) -> Grid:
    try:
        grid = grid_documents.decode(sealed.unseal(member.path, _json(archive, member)))
    except sealed.DamageError as damage:
        raise ArchiveError(f"{member.path} {damage}.") from damage
    except (ValidationError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ArchiveError(f"{member.path} is no grid that this version can read: another version wrote it.") from error
    if layout.document(document_of(grid)[0]) != member.path:
        raise ArchiveError(f"{member.path} has a grid of another name or content.")
    return grid


def _payload(archive: zipfile.ZipFile, member: Member) -> tuple[str, int, str]:
    parsed = layout.parse_payload(member.path)
    assert parsed is not None  # its name was checked
    if parsed[2] != member.sha256:
        raise ArchiveError(f"{member.path} is named after another SHA-256 than {NAME} says.")
    for _ in _chunks(archive, member):
        pass
    return member.path, member.size, member.sha256


def _json(archive: zipfile.ZipFile, member: Member) -> bytes:
    if member.size > _MOST:
        raise ArchiveError(f"{member.path} would have {member.size:,} bytes.")
    return b"".join(_chunks(archive, member))


def _chunks(archive: zipfile.ZipFile, member: Member) -> Iterator[bytes]:
    """The bytes of a member, in parts. Raises ArchiveError, after the last one if they are not as they should be."""
    digest, size = hashlib.sha256(), 0
    for chunk in _unpacked(archive, member.path, member.size):
        size += len(chunk)
        digest.update(chunk)
        yield chunk
    if size != member.size or digest.hexdigest() != member.sha256:
        raise ArchiveError(f"{member.path} is not what was archived: its bytes do not match their SHA-256.")


def _unpacked(archive: zipfile.ZipFile, path: str, size: int) -> Iterator[bytes]:
    """In parts, and no more than one byte over `size`, whatever is packed."""
    left = size + 1
    try:
        with archive.open(path) as stream:
            while left > 0 and (chunk := stream.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ArchiveError(f"{path} cannot be unpacked: {error}.") from error
