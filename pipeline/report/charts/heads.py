"""Whether transferred tickets and those of the target itself start with the same output layer: a caveat in words."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from pipeline.experiment.spec import Spec

OWN = "the ticket of the target's own source"


def caveat(ticket: str, rows: pd.DataFrame, spec: Spec) -> str:
    """A sentence about output layers that only one of two compared tickets keeps; empty where no pair differs in it.

    `rows`: the comparisons of transferred `ticket`s with those of the target's own source.
    """
    kind = next(entry for entry in spec.tickets if entry.name == ticket)
    sources = {entry.name: entry for entry in spec.sources}
    targets = {entry.name: entry for entry in spec.targets}
    compared = rows[rows["reference_source"].notna()][["source", "target"]].drop_duplicates()
    on_itself = spec.redraws_head(kind, same_training=True, same_data=True)
    pairs: Counter[tuple[bool, bool]] = Counter()
    for source, target in compared.itertuples(index=False):
        other_data = sources[source].dataset != targets[target].dataset
        transferred = spec.redraws_head(kind, same_training=False, same_data=not other_data)
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
