"""Every path in a store, relative to its root, with forward slashes."""

import hashlib
import re

AREAS = ("done", "outputs", "checkpoints", "claims", "drivers", "documents", "index")

_DEPTHS = {"done": 1, "claims": 1, "drivers": 1, "index": 1, "outputs": 2, "checkpoints": 3}
"""How many folders, area included, each file of an area is in; documents may be in any number."""

_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_=+-]*")
_NAME = re.compile(r"[^\s./\\][^/\\\x00-\x1f]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def word(value: str) -> str:
    """`value` if it can be part of a dotted file name (keys, outputs, suffixes); ValueError otherwise."""
    if not _WORD.fullmatch(value):
        raise ValueError(f"{value!r} cannot name a stage or an output: use letters, digits, '_', '-', '+' and '='.")
    return value


def name(value: str) -> str:
    """`value` if it can be one path component (drivers, attempts, documents); ValueError otherwise."""
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} cannot be a file name in the store: no slashes, no leading dot, not empty.")
    return value


def record(key: str) -> str:
    return f"done/{word(key)}.json"


def outputs(key: str) -> str:
    return f"outputs/{word(key)}"


def payload(key: str, output: str, digest: str, suffix: str) -> str:
    return f"{outputs(key)}/{word(output)}.{digest}.{word(suffix)}"


def checkpoints(key: str) -> str:
    return f"checkpoints/{word(key)}"


def attempt(key: str, attempt: str | int) -> str:
    return f"{checkpoints(key)}/{name(str(attempt))}"


def checkpoint(key: str, attempt_: str | int, iteration: int, digest: str) -> str:
    return f"{attempt(key, attempt_)}/{iteration}.{digest}.safetensors"


def claim(key: str) -> str:
    return f"claims/{word(key)}.json"


def driver(driver: str) -> str:
    return f"drivers/{name(driver)}.json"


def document(document: str) -> str:
    return "/".join(["documents", *map(name, document.split("/"))]) + ".json"


def index(digest: str) -> str:
    return f"index/records.{digest}.parquet"


def stem(path: str) -> str:
    """The key, driver or document that a JSON file's path names: what stands after its area, without `.json`."""
    return path.split("/", 1)[1].removesuffix(".json")


def is_of_file(path: str) -> bool:
    """Whether a store has a file at such a path, so that a folder there is damage."""
    area, *below = path.split("/")
    return len(below) == _DEPTHS[area] if area in _DEPTHS else path.endswith(".json")


def parse_record(path: str) -> str | None:
    """The key of a path in `done/`; None where it is not a record's path."""
    return stem(path) if path.endswith(".json") and _WORD.fullmatch(stem(path)) else None


def parse_payload(path: str) -> tuple[str, str, str] | None:
    """(key, output, SHA-256) of a path in `outputs/`; None where it is not a payload's path."""
    parts = path.split("/")
    dotted = parts[-1].split(".")
    if len(parts) != 3 or len(dotted) != 3 or not _SHA256.fullmatch(dotted[1]):
        return None
    return parts[1], dotted[0], dotted[1]


def parse_checkpoint(path: str) -> tuple[str, str, int, str] | None:
    """(key, attempt, iteration, SHA-256) of a path in `checkpoints/`; None where it is not a checkpoint's path."""
    parts = path.split("/")
    dotted = parts[-1].split(".")
    if len(parts) != 4 or len(dotted) != 3 or not dotted[0].isdecimal() or not _SHA256.fullmatch(dotted[1]):
        return None
    return parts[1], parts[2], int(dotted[0]), dotted[1]


def parse_index(path: str) -> str | None:
    """The SHA-256 in the path of an index; None where it is not an index's path."""
    dotted = path.split("/")[-1].split(".")
    return dotted[1] if len(dotted) == 3 and _SHA256.fullmatch(dotted[1]) else None
