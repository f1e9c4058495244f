"""Which points of a grid are compared with one another, and why a comparison cannot be made."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from pipeline.experiment.spec import ANY, DENSE, Spec
from pipeline.experiment.spec_sides import Source, Target
from pipeline.recipes.steps import Steps

NONE = -1
"""No row; as an index, the last one."""


class Pairing(NamedTuple):
    """A ticket of a winning kind and what it is compared with."""

    comparison: str
    place: int
    """Row of the ticket in the table of points."""
    reference: str
    reference_source: str | None
    other: int = NONE
    """Row of the reference; NONE where the grid has none."""
    remark: str = ""
    """Why the two cannot be compared."""


class _Point(NamedTuple):
    place: int
    source: str
    target: str
    ticket: str
    round: int
    survivors: int
    left: float
    """The level."""


_Places = Mapping[tuple[str, str, str, int], _Point]


def pairings(points: pd.DataFrame, spec: Spec) -> list[Pairing]:
    """The comparisons of `points` (one row a point, columns CURVE, POINT and `left`): controls, then transfers, dense.

    `points` are all of an experiment, `left` is their level. A winning kind is compared once a level, at the first of
    its rounds there. `control`: beside every control at its source (or of source "any") and round, with equally many
    survivors. `transfer`: beside the same kind of the target's own source at its level, whatever the round. `dense`:
    beside the dense network of its target, where the grid trains one.
    """
    columns = [points[name].to_list() for name in ("source", "target", "ticket", "round", "survivors", "left")]
    every = [_Point(*values) for values in zip(range(len(points)), *columns, strict=True)]
    places = {(point.source, point.target, point.ticket, point.round): point for point in every}
    kinds = set(spec.winning)
    firsts: dict[tuple[str, str, str, float], _Point] = {}
    for point in sorted(every, key=lambda point: point.round):
        if point.ticket in kinds:
            firsts.setdefault((point.source, point.target, point.ticket, point.left), point)
    winning = sorted(firsts.values(), key=lambda point: point.place)
    own = _references(spec)
    return [
        *(pairing for point in winning for pairing in _controls(point, places, spec)),
        *(pairing for point in winning for pairing in _transfers(point, firsts, own)),
        *(pairing for point in winning for pairing in _dense(point, places)),
    ]


def own_sources(spec: Spec, target: Target) -> list[Source]:
    """The sources that train as `target` does: their tickets are found on it, not transferred to it.

    Of a target that trains nothing, those on its data.
    """
    trains = target.training.length != Steps()
    return [source for source in spec.sources if _training(source, trains) == _training(target, trains)]


def _training(side: Target, trains: bool) -> tuple[object, ...]:
    return side.model, side.dataset, *((side.training, side.resources.workers) if trains else ())


def _controls(point: _Point, places: _Places, spec: Spec) -> Iterator[Pairing]:
    for control in spec.tickets:
        if control.is_winning:
            continue
        # the grid has a control by source, or once for all of them
        found = [places.get((source, point.target, control.name, point.round)) for source in (point.source, ANY)]
        reference = next(filter(None, found), None)
        if reference is None:
            source = ANY if control.counts_only else point.source
            remark = f"the grid has no {control.name} ticket of this round"
            yield Pairing("control", point.place, control.name, source, remark=remark)
            continue
        equal = reference.survivors == point.survivors
        remark = "" if equal else "the reference has another number of survivors"
        yield Pairing("control", point.place, control.name, reference.source, reference.place, remark)


def _transfers(
    point: _Point,
    firsts: Mapping[tuple[str, str, str, float], _Point],
    own: Mapping[tuple[str, str], str | None],
) -> Iterator[Pairing]:
    if (point.source, point.target) not in own:
        return
    source = own[point.source, point.target]
    if source is None:
        yield Pairing("transfer", point.place, point.ticket, None, remark="no source is this target's own")
        return
    reference = firsts.get((source, point.target, point.ticket, point.left))
    if reference is None:
        remark = "the target's own ticket was not evaluated with as many weights left"
        yield Pairing("transfer", point.place, point.ticket, source, remark=remark)
        return
    yield Pairing("transfer", point.place, point.ticket, source, reference.place)


def _references(spec: Spec) -> dict[tuple[str, str], str | None]:
    """For each (source, target) that is a transfer: the source of the target's own that it is compared with, or None.

    Of several, which differ in how they prune, the first that prunes as the transferred one does, else the first.
    """
    references: dict[tuple[str, str], str | None] = {}
    for target in spec.targets:
        own = own_sources(spec, target)
        for source in spec.sources:
            if source in own:
                continue
            alike = [entry.name for entry in own if entry.prune == source.prune]
            names = alike or [entry.name for entry in own]
            references[source.name, target.name] = names[0] if names else None
    return references


def _dense(point: _Point, places: _Places) -> Iterator[Pairing]:
    reference = places.get((ANY, point.target, DENSE, 0))
    if reference is not None:
        yield Pairing("dense", point.place, DENSE, ANY, reference.place)
