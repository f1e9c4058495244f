"""Why stages of an experiment have no result, which a store remembers for reports that are made later."""

from collections.abc import Collection, Mapping
from typing import TypedDict

from pipeline.engine.store.documents import HasDocuments

FOLDER = "failures"


class Failures(TypedDict, total=False):
    """Why stages have no result, by their keys."""

    failed: Mapping[str, str]
    skipped: Mapping[str, str]


def remember_failures(
    store: HasDocuments,
    document: str,
    failed: Mapping[str, str],
    skipped: Mapping[str, str],
    stages: Collection[str] | None = None,
) -> None:
    """Keep why stages of the last run have no result (stage key -> message), for reports that are made later.

    `document`: what `remember` answered. `stages`: those that were asked for; what is known of others stays.
    """
    before = _read(store, document)

    def kept(known: Mapping[str, str]) -> dict[str, str]:
        return {key: why for key, why in known.items() if stages is not None and key not in stages}

    content = Failures(
        failed={**kept(before.get("failed", {})), **failed}, skipped={**kept(before.get("skipped", {})), **skipped}
    )
    if content != (before or {"failed": {}, "skipped": {}}):
        store.documents.write(f"{FOLDER}/{document}", content)


def forget_failures(store: HasDocuments, document: str) -> None:
    """Of a version that another one has taken the place of."""
    store.documents.delete(f"{FOLDER}/{document}")


def failures(store: HasDocuments, name: str) -> tuple[dict[str, str], dict[str, str]]:
    """(failed, skipped) of the last run of each version of `name`; some of them may have a record since."""
    failed: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for each in store.documents.names(FOLDER):
        if each.partition("@")[0] == name:
            content = _read(store, each)
            failed |= content.get("failed", {})
            skipped |= content.get("skipped", {})
    return failed, skipped


def _read(store: HasDocuments, document: str) -> Failures:
    content: Failures | None = store.documents.read(f"{FOLDER}/{document}")
    return content or Failures()
