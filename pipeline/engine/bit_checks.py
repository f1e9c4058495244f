"""What a store remembers of the times at which stages were made again to see whether every bit is the same."""

from collections.abc import Mapping
from typing import TypedDict

from pipeline.engine.provenance import driver_id
from pipeline.engine.store.documents import HasDocuments

FOLDER = "recomputed"


class Check(TypedDict):
    """What a store keeps of one check."""

    at: float
    """Unix time."""
    hardware: Mapping[str, str]
    versions: Mapping[str, str]
    checked: Mapping[str, list[str]]
    """By key of a stage, what differed: outputs, `summary`, `status`. Nothing where it came out the same."""


def remember_check(store: HasDocuments, check: Check) -> None:
    """Keep it for reports."""
    store.documents.write(f"{FOLDER}/{driver_id()}", check)


def checks(store: HasDocuments) -> list[Check]:
    """All that the store remembers, oldest first."""
    found = [store.documents.read(f"{FOLDER}/{name}") for name in store.documents.names(FOLDER)]
    return sorted((check for check in found if check is not None), key=lambda check: float(check["at"]))
