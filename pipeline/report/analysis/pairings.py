"""Which points of a grid are compared with one another, and why a comparison cannot be made."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from pipeline.experiment.spec import ANY, DENSE, Spec
from pipeline.experiment.spec_sides import Source, Target

SAME_LEVEL = 0.01
"""Relative difference of the weights remaining up to which a transferred and a same-source ticket are compared."""
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


_Places = Mapping[tuple[str, str, str, int], _Point]


def pairings(points: pd.DataFrame, spec: Spec) -> list[Pairing]:
    """The comparisons of `points` (one row a point, columns CURVE and POINT): controls, then transfers, then dense.

    `control`: a winning kind beside every control at its source (or of source "any") and round, with equally many
    survivors. `transfer`: beside the same kind of the target's own source at its round, with as many weights left.
    `dense`: beside the dense network of its target, where the grid trains one.
    """
    columns = [points[name].to_list() for name in ("source", "target", "ticket", "round", "survivors")]
    left = (1 - points["fraction_pruned"]).to_list()
    every = [_Point(*values) for values in zip(range(len(points)), *columns, left, strict=True)]
    places = {(point.source, point.target, point.ticket, point.round): point for point in every}
    kinds = {ticket.name for ticket in spec.tickets if ticket.is_winning}
    winning = [point for point in every if point.ticket in kinds]
    own = _references(spec)
    return [
        *(pairing for point in winning for pairing in _controls(point, places, spec)),
        *(pairing for point in winning for pairing in _transfers(point, places, own)),
        *(pairing for point in winning for pairing in _dense(point, places)),
    ]


def own_sources(spec: Spec, target: Target) -> list[Source]:
    """The sources that train as `target` does: their tickets are found on it, not transferred to it."""
    wanted = (target.dataset, target.training, target.resources.workers)
    return [source for source in spec.sources if (source.dataset, source.training, source.resources.workers) == wanted]


def _controls(point: _Point, places: _Places, spec: Spec) -> Iterator[Pairing]:
    for control in spec.tickets:
        if control.is_winning:
            continue
        found = [places.get((source, point.target, control.name, point.round)) for source in (point.source, ANY)]
        for reference in filter(None, found):
            equal = reference.survivors == point.survivors
            remark = "" if equal else "the reference has another number of survivors"
            yield Pairing("control", point.place, control.name, reference.source, reference.place, remark)
        if not any(found):
            source = ANY if control.counts_only else point.source
            remark = f"the grid has no {control.name} ticket of this round"
            yield Pairing("control", point.place, control.name, source, remark=remark)


def _transfers(
    point: _Point, places: _Places, own: Mapping[tuple[str, str], tuple[str | None, ...]]
) -> Iterator[Pairing]:
    for source in own.get((point.source, point.target), ()):
        if source is None:
            remark = "no source is this target's own"
            yield Pairing("transfer", point.place, point.ticket, None, remark=remark)
            continue
        reference = places.get((source, point.target, point.ticket, point.round))
        if reference is None:
            remark = f"the grid has no {point.ticket} ticket of the target's own source at this round"
            yield Pairing("transfer", point.place, point.ticket, source, remark=remark)
            continue
        equal = abs(reference.left - point.left) <= SAME_LEVEL * reference.left
        remark = "" if equal else "the target's own ticket of this round has another fraction of its weights left"
        yield Pairing("transfer", point.place, point.ticket, source, reference.place, remark)


def _references(spec: Spec) -> dict[tuple[str, str], tuple[str | None, ...]]:
    """For each (source, target) that is a transfer: the target's own sources.

    Of several, which differ in how they prune, the one that prunes as the transferred one does, if there is one.
    """
    references: dict[tuple[str, str], tuple[str | None, ...]] = {}
    for target in spec.targets:
        own = own_sources(spec, target)
        for source in spec.sources:
            if source in own:
                continue
            alike = [entry.name for entry in own if entry.prune == source.prune][:1]
            references[source.name, target.name] = tuple(alike or [entry.name for entry in own]) or (None,)
    return references


def _dense(point: _Point, places: _Places) -> Iterator[Pairing]:
    reference = places.get((ANY, point.target, DENSE, 0))
    if reference is not None:
        yield Pairing("dense", point.place, DENSE, ANY, reference.place)
