"""Experiments by name: a store remembers the grids that were run in it, so that a report needs neither file nor data.

What a name stands for are versions, `NAME@1`, `NAME@2`, ...: grids that have other results. One that has all results of
an older one, and more, is the same experiment, extended; one that has some of them only is a part of it. Documents are
named by their content and never changed, so that drivers which run at the same time lose nothing of each other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import ValidationError

from pipeline.engine.addresses import shown
from pipeline.engine.failures import forget_failures
from pipeline.engine.grid_documents import decode, encode, results_in
from pipeline.engine.store.documents import HasDocuments
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import Grid
from pipeline.experiment.suggestions import did_you_mean
from pipeline.recipes.keys import key_of

GRIDS = "grids"
PUBLISHED = "published"
BEGAN = "began"
"""In a document: unix time at which the version was first run. Documents without it are of the first one."""
OLDER = "older"
"""In a document: BEGAN of the versions before it, by document, so that a damaged one of these keeps its number."""
LISTED = 30
"""Names that are given to whoever asks for one that there is not."""


class DoneStages(Protocol):
    """The state of a store's stages at one moment."""

    def done(self, key: str) -> bool: ...


class Remembering(HasDocuments, Protocol):
    """A store, as far as it remembers experiments: its documents, and the state of its stages."""

    @property
    def uri(self) -> str: ...
    def snapshot(self) -> DoneStages: ...


@dataclass(frozen=True)
class Version:
    """A grid that was run under a name, as the store remembers it."""

    number: int
    """From 1, by the time at which it was first run; damaged ones of which no other tells the time come last."""
    document: str
    """Name of its document in the folder `grids`: NAME@DIGEST, or NAME where an earlier program wrote it."""
    content: Mapping[str, Any] | None
    """None for a document that is damaged."""
    results: frozenset[str] | None
    """Keys of the stages that its results are of; None for a document that cannot be read."""
    began: float
    """Unix time at which it was first run; infinite where a damaged document does not tell."""

    @property
    def stages(self) -> list[str]:
        """Keys of all its stages; none of a document that cannot be read."""
        return [] if self.results is None or self.content is None else [stage[0] for stage in self.content["stages"]]

    def grid(self, uri: str) -> Grid:
        """Raises UserError for a document that cannot be read."""
        name = self.document.partition("@")[0]
        try:
            if self.results is not None and self.content is not None:
                return decode(self.content)
        except (ValidationError, LookupError, TypeError, ValueError):
            pass
        raise UserError(
            f"{shown(uri)} remembers the experiment {name} in a way that this version cannot read: another version ran "
            "it, or the file is damaged. Give the grid's file instead of its name; `tickets run FILE` remembers it "
            "anew."
        )

    def is_of(self, results: Collection[str]) -> bool:
        """Whether a grid of these results is this experiment, a part of it, or an extension."""
        return self.results is not None and (self.results <= set(results) or self.results >= set(results))


def versions(store: Remembering, name: str) -> list[Version]:
    """What was run under `name`, oldest first. Of two that contain one another only the larger is there."""
    documents, contents = _documents(store, name), {}
    for _ in range(2):  # one that is gone since was replaced by another, which has to be looked for
        contents = {each: store.documents.read(f"{GRIDS}/{each}") for each in documents}
        if all(content is not None for content in contents.values()):
            break
        documents = _documents(store, name)
    results = {each: results_in(content) for each, content in contents.items()}
    older = {each: at for content in contents.values() for each, at in (content or {}).get(OLDER, {}).items()}
    began = {
        each: float(older.get(each, math.inf) if content is None else content.get(BEGAN, 0.0))
        for each, content in contents.items()
    }
    newest_first = sorted(documents, key=lambda each: (began[each], each), reverse=True)
    apart: dict[str, float] = {}
    for each in sorted(newest_first, key=lambda one: -len(results[one] or ())):
        containing = [one for one in apart if (results[one] or frozenset()) >= (results[each] or frozenset({each}))]
        for one in containing[:1]:
            apart[one] = min(apart[one], began[each])
        if not containing:
            apart[each] = began[each]
    ordered = sorted(apart, key=lambda each: (apart[each], each))
    return [Version(number, each, contents[each], results[each], apart[each]) for number, each in enumerate(ordered, 1)]


def _documents(store: Remembering, name: str) -> list[str]:
    return [each for each in store.documents.names(GRIDS) if each.partition("@")[0] == name]


def remember(store: Remembering, grid: Grid) -> str:
    """Keep `grid` under its name, which it has begun to run under; the name of the document that has it.

    Nothing is written if it is there already, or is part of what is there; what it extends is replaced.
    """
    content = encode(grid)
    results = results_in(content) or frozenset()
    known = versions(store, grid.name)
    for version in known:
        if version.results is not None and version.results > results:
            return version.document
        if version.content is not None and {**version.content, BEGAN: 0, OLDER: 0} == {**content, BEGAN: 0, OLDER: 0}:
            return version.document
    document = _document(grid.name, content)
    extended = [
        each
        for each in known
        if (each.document == document if each.content is None else each.results is not None and each.results <= results)
    ]
    times = {each.document: each.began for each in known if each.began < math.inf}
    now = max(time.time(), max(times.values(), default=0.0) + 0.001)
    began = min([times[each.document] for each in extended if each.document in times], default=now)
    older = {name: at for name, at in times.items() if at < began}
    store.documents.write(f"{GRIDS}/{document}", {**content, BEGAN: began, OLDER: older})
    for version in extended:
        if version.document != document:
            store.documents.delete(f"{GRIDS}/{version.document}")
            forget_failures(store, version.document)
    return document


def recall(store: Remembering, name: str) -> Grid:
    """The grid that was run under `name`: of `NAME@2` the second, of `NAME` the newest version that has results.

    Raises UserError with the names that there are.
    """
    bare, _, number = name.partition("@")
    known = versions(store, bare)
    if not known:
        raise UserError(_unknown(store, name))
    if not number and "@" not in name:
        return default_version(store, known).grid(store.uri)
    for version in known:
        if str(version.number) == number:
            return version.grid(store.uri)
    there = ", ".join(f"{bare}@{version.number}" for version in known)
    raise UserError(f"There is no version {name} in {shown(store.uri)}: it has {there}.")


def default_version(store: Remembering, known: list[Version], snapshot: DoneStages | None = None) -> Version:
    """The newest of `known` that has results in the store (at the moment `snapshot`), or the newest."""
    if len(known) == 1:
        return known[0]
    snapshot = store.snapshot() if snapshot is None else snapshot
    finished = [each for each in known if any(snapshot.done(key) for key in each.results or ())]
    return (finished or known)[-1]


def other_version(store: Remembering, grid: Grid) -> Version | None:
    """What the name of `grid` stands for, if `grid` is no version of it, no extension and no part of one.

    A damaged version only where no other one can be read.
    """
    known = versions(store, grid.name)
    if not known or _version_of(known, grid) is not None:
        return None
    return default_version(store, [each for each in known if each.content is not None] or known)


def number_of(known: list[Version], grid: Grid) -> int:
    """The number of the version that `grid` is, is part of or extends; the next one for a grid that is none of them."""
    version = _version_of(known, grid)
    return sum(each.began < math.inf for each in known) + 1 if version is None else version.number


def _version_of(known: list[Version], grid: Grid) -> Version | None:
    """The version that `grid` is, is part of or extends. A damaged one is known by its name to be this very grid."""
    results = {point.stage for point in grid.points}
    for version in reversed(known):
        if version.is_of(results):
            return version
    damaged = [version for version in known if version.content is None]
    document = _document(grid.name, encode(grid)) if damaged else ""
    return next((version for version in damaged if version.document == document), None)


def every_version(store: Remembering) -> Iterator[tuple[str, Version]]:
    """All that is remembered, by the names that `recall` takes."""
    for name in sorted({document.partition("@")[0] for document in store.documents.names(GRIDS)}):
        known = versions(store, name)
        for version in known:
            yield (name if len(known) == 1 else f"{name}@{version.number}"), version


def experiments_of(store: Remembering) -> dict[str, str]:
    """By key of a stage, the name of an experiment that has it."""
    return {key: name for name, version in every_version(store) for key in version.stages}


def publish(store: HasDocuments, name: str) -> None:
    """From here on nothing that the experiment's results are of is removed to save space."""
    if not is_published(store, name):
        store.documents.write(f"{PUBLISHED}/{name}", {"at": time.time()})


def is_published(store: HasDocuments, name: str) -> bool:
    return name in store.documents.names(PUBLISHED)


def document_of(grid: Grid) -> tuple[str, Mapping[str, object]]:
    """Name and content of the document that has `grid`, whenever it began."""
    content = encode(grid)
    return f"{GRIDS}/{_document(grid.name, content)}", content


def _document(name: str, content: Mapping[str, Any]) -> str:
    return f"{name}@{key_of(content)[:16]}"


def _unknown(store: Remembering, name: str) -> str:
    names = sorted({each.partition("@")[0] for each in store.documents.names(GRIDS)})
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    there = f"It has {', '.join(names[:LISTED])}{more}." if names else "It has none: `tickets run FILE` makes them."
    near = did_you_mean(name.partition("@")[0], names)
    return (
        f"There is no file {name}, and no experiment of that name in {shown(store.uri)}."
        f"{near if 'Did you mean' in near else ''} {there}"
    )
