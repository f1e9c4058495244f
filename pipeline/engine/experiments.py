"""Experiments by name: a store remembers the grids that were run in it, so that a report needs neither file nor data.

A remembered grid has the spec, the points and the stages with labels and inputs; not the stages' fields, which the
records of finished stages have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pydantic import ValidationError

from pipeline.engine.addresses import shown
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import Grid, Point
from pipeline.experiment.spec import Spec
from pipeline.experiment.stages import Input, Stage
from pipeline.experiment.suggestions import did_you_mean

LAYOUT = 3
GRIDS = "grids"
FAILURES = "failures"


class Documents(Protocol):
    """A store's small JSON documents."""

    @property
    def uri(self) -> str: ...
    def read_document(self, name: str) -> Any | None: ...
    def write_document(self, name: str, obj: object) -> None: ...
    def document_names(self, folder: str) -> list[str]: ...


def remember(store: Documents, grid: Grid) -> None:
    """Keep `grid` under its name; nothing is written if it is there already."""
    document = encode(grid)
    if store.read_document(f"{GRIDS}/{grid.name}") != document:
        store.write_document(f"{GRIDS}/{grid.name}", document)


def recall(store: Documents, name: str) -> Grid:
    """The grid that was last run under `name`. Raises UserError with the names that there are."""
    known = store.document_names(GRIDS)
    document = store.read_document(f"{GRIDS}/{name}") if name in known else None
    if name in known and (document is None or document.get("layout") != LAYOUT):
        raise UserError(_unreadable(name, store.uri))
    if document is None:
        there = f"It has {', '.join(sorted(known))}." if known else "It has none: `tickets run FILE` makes them."
        raise UserError(
            f"There is no file {name}, and no experiment of that name in {shown(store.uri)}."
            f"{did_you_mean(name, known)} {there}"
        )
    try:
        return decode(document)
    except (ValidationError, LookupError, TypeError, ValueError) as error:
        raise UserError(_unreadable(name, store.uri)) from error


def _unreadable(name: str, uri: str) -> str:
    return (
        f"{shown(uri)} remembers the experiment {name} in a way that this version cannot read: another version ran it, "
        "or the file is damaged. Give the grid's file instead of its name; `tickets run FILE` remembers it anew."
    )


def remember_failures(store: Documents, name: str, failed: Mapping[str, str], skipped: Mapping[str, str]) -> None:
    """Keep why stages of the last run have no result (stage key -> message), for reports that are made later."""
    document = {"failed": dict(failed), "skipped": dict(skipped)}
    if document != (store.read_document(f"{FAILURES}/{name}") or {"failed": {}, "skipped": {}}):
        store.write_document(f"{FAILURES}/{name}", document)


def failures(store: Documents, name: str) -> tuple[dict[str, str], dict[str, str]]:
    """(failed, skipped) of the last run; some of them may have a record since."""
    document = store.read_document(f"{FAILURES}/{name}") or {}
    return document.get("failed", {}), document.get("skipped", {})


def encode(grid: Grid) -> dict[str, Any]:
    """JSON: every stage once, referred to by its number."""
    number = {key: place for place, key in enumerate(grid.stages)}
    return {
        "layout": LAYOUT,
        "spec": grid.spec.model_dump(mode="json"),
        "stages": [
            [
                stage.key,
                stage.kind,
                stage.label,
                stage.iterations,
                grid.roles[stage.key],
                {role: [number[read.stage], read.output] for role, read in stage.inputs.items()},
            ]
            for stage in grid.stages.values()
        ],
        "points": [
            [
                *(point.source, point.target, point.ticket, point.round, point.seed),
                number[point.stage],
                None if point.mask is None else number[point.mask],
                *(point.survivors, point.total, point.fraction_pruned, point.draw),
            ]
            for point in grid.points
        ],
        "keep": {str(number[key]): sorted(outputs) for key, outputs in grid.keep.items()},
        "starts": [[*names, number[read.stage], read.output] for names, read in grid.starts.items()],
        "requested": grid.requested,
        "kept_bytes": grid.kept_bytes,
        "notes": list(grid.notes),
    }


def decode(document: Mapping[str, Any]) -> Grid:
    """The grid in a document that `encode` made."""
    spec = Spec.model_validate(document["spec"])
    keys = [stage[0] for stage in document["stages"]]
    stages = {
        key: Stage(key, kind, {"kind": kind}, _inputs(keys, inputs), label, iterations)
        for key, kind, label, iterations, _, inputs in document["stages"]
    }
    points = [
        Point(source, target, ticket, round_, seed, keys[stage], _key(keys, mask), survivors, total, fraction, draw)
        for source, target, ticket, round_, seed, stage, mask, survivors, total, fraction, draw in document["points"]
    ]
    return Grid(
        spec.name,
        stages,
        points,
        {keys[int(place)]: frozenset(outputs) for place, outputs in document["keep"].items()},
        {key: role for key, _, _, _, role, _ in document["stages"]},
        dict(document["requested"]),
        document["kept_bytes"],
        tuple(document.get("notes", ())),
        spec=spec,
        starts={(source, seed): Input(keys[stage], output) for source, seed, stage, output in document["starts"]},
    )


def _key(keys: list[str], place: int | None) -> str | None:
    return None if place is None else keys[place]


def _inputs(keys: list[str], written: Mapping[str, Iterable[Any]]) -> dict[str, Input]:
    return {role: Input(keys[place], output) for role, (place, output) in written.items()}
