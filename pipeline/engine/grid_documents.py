"""A grid as a JSON document of a store, without the stages' recipes, which the records of finished stages have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.experiment.grid import Grid, Point
from pipeline.experiment.spec import Spec
from pipeline.experiment.stages import Stage
from pipeline.recipes.references import Reference

LAYOUT = 3


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
        "notes": list(grid.about),
    }


def results_in(document: Any) -> frozenset[str] | None:
    """Keys of the stages whose results the grid of a document is made of; None for one that cannot be read."""
    try:
        stages = document["stages"]
        return frozenset(stages[point[5]][0] for point in document["points"]) if document["layout"] == LAYOUT else None
    except (LookupError, TypeError):
        return None


def decode(document: Mapping[str, Any]) -> Grid:
    """The grid in a document that `encode` made."""
    spec = Spec.model_validate(document["spec"])
    keys = [stage[0] for stage in document["stages"]]
    stages = {
        key: Stage(key, kind, _inputs(keys, inputs), label, iterations)
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
        starts={(source, seed): Reference(keys[stage], output) for source, seed, stage, output in document["starts"]},
    )


def _key(keys: list[str], place: int | None) -> str | None:
    return None if place is None else keys[place]


def _inputs(keys: list[str], written: Mapping[str, Iterable[Any]]) -> dict[str, Reference]:
    return {role: Reference(keys[place], output) for role, (place, output) in written.items()}
