"""What an archive says of itself: the first of its members, which names all others (see docs/archive.md)."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, NamedTuple

from pipeline.engine.store import sealed

NAME = "archive.json"
LAYOUT = 1
"""Raised when an archive is built in another way."""
TABLES = "tables/"
"""Begins the names of members that are for people and other programs: a store has no use for them."""

SIGNATURE = 64
"""Bytes at the very end, which are the zip file's comment: `signature`."""

Carried = Literal["results", "tickets", "weights"]
"""How much of each stage is in it: records and histories; masks and what tickets start from, too; or all there is."""
CARRIED: tuple[Carried, ...] = ("results", "tickets", "weights")


class Member(NamedTuple):
    """One file: its path in the archive, which but for tables is that in a store, its bytes, and their SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ArchiveManifest:
    """What the archive is of, and its members but for this one, by path."""

    experiment: str
    carried: Carried
    done: int
    """Stages that are in it."""
    stages: int
    """Stages of the experiment."""
    members: Mapping[str, Member]

    @property
    def size(self) -> int:
        """Bytes of all members."""
        return sum(member.size for member in self.members.values())

    def encode(self) -> bytes:
        content = {
            "layout": LAYOUT,
            "experiment": self.experiment,
            "carried": self.carried,
            "done": self.done,
            "stages": self.stages,
            "members": [list(self.members[path]) for path in sorted(self.members)],
        }
        return sealed.seal(NAME, content)


def decode(data: bytes) -> ArchiveManifest:
    """Raises ValueError that completes "archive.json ..."; DamageError is one."""
    content: Any = sealed.unseal(NAME, data)
    if not isinstance(content, dict) or content.get("layout") != LAYOUT:
        layout = content.get("layout") if isinstance(content, dict) else None
        raise ValueError(f"is of layout {layout}, and this version reads layout {LAYOUT}")
    try:
        members = [Member(*each) for each in content["members"]]
        named = {member.path: member for member in members}
        manifest = ArchiveManifest(content["experiment"], content["carried"], content["done"], content["stages"], named)
    except (LookupError, TypeError) as error:
        raise ValueError("lacks something, or has it with a wrong type") from error
    if len(named) != len(members) or not all(_is_member(member) for member in members):
        raise ValueError("names a member twice, or one that none can be")
    if not isinstance(manifest.experiment, str) or manifest.carried not in CARRIED:
        raise ValueError(f"says that it carries {manifest.carried!r}, which is none of {', '.join(CARRIED)}")
    return manifest


def _is_member(member: Member) -> bool:
    texts = isinstance(member.path, str) and isinstance(member.sha256, str)
    return texts and type(member.size) is int and member.size >= 0


def signature(file: BinaryIO) -> bytes:
    """SHA-256 of all bytes of an archive but those at its end that are to say it, in hexadecimal digits."""
    left = file.seek(0, os.SEEK_END) - SIGNATURE
    file.seek(0)
    digest = hashlib.sha256()
    while left > 0 and (chunk := file.read(min(left, 2**20))):
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest().encode()
