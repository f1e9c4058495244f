"""Whether transferred tickets and those of the target itself start with the same output layer: a caveat in words."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from pipeline.experiment.spec import Spec
from pipeline.experiment.spec_sides import Target
from pipeline.experiment.spec_tickets import Ticket

OWN = "the ticket of the target's own source"


def caveat(ticket: str, rows: pd.DataFrame, spec: Spec) -> str:
    """A sentence about output layers that only one of two compared tickets keeps; empty where no pair differs in it.

    `rows`: the comparisons of transferred `ticket`s with those of the target's own source.
    """
    kind = next(entry for entry in spec.tickets if entry.name == ticket)
    sources = {entry.name: entry for entry in spec.sources}
    targets = {entry.name: entry for entry in spec.targets}
    compared = rows[rows["reference_source"].notna()][["source", "target"]].drop_duplicates()
    on_itself = _redrawn_on_itself(spec, kind)
    pairs: Counter[tuple[bool, bool]] = Counter()
    for source, target in compared.itertuples(index=False):
        other_data = sources[source].dataset != targets[target].dataset
        transferred = _redrawn_when_transferred(spec, kind, sources[source], targets[target])
        pairs[other_data, transferred != on_itself] += 1
    differing = {other_data for other_data, differs in pairs if differs}
    if not differing:
        return ""
    only = all(differs for _, differs in pairs)
    where = "" if only else "For transfers between data sets " if True in differing else "Within one data set "
    own = f"{where}{OWN}" if where else f"T{OWN[1:]}"
    if on_itself:
        said = f"{own} has its output layer redrawn (diagonal: {spec.diagonal}), while the transferred one keeps it"
    else:
        said = f"{own} keeps its output layer (diagonal: {spec.diagonal}), while the transferred one has it redrawn"
    return f" {said}: part of a difference may be due to that."


def _redrawn_on_itself(spec: Spec, ticket: Ticket) -> bool:
    """As `evaluations` decides it for a target that trains as the source does."""
    return ticket.head == "redraw" or (spec.diagonal == "retrain" and ticket.head != "keep")


def _redrawn_when_transferred(spec: Spec, ticket: Ticket, source: Target, target: Target) -> bool:
    """As `evaluations` decides it for any other target."""
    setting = ticket.head or spec.head
    return source.dataset != target.dataset if setting == "auto" else setting == "redraw"
