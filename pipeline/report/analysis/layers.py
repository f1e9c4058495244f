"""Survivors by layer: where in the network the pruning takes place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.report.findings import Table

if TYPE_CHECKING:
    from pipeline.experiment.spec import Spec
    from pipeline.report.results import Records

COLUMNS = ["source", "ticket", "round", "seed", "layer", "position", "survivors", "total", "fraction_pruned", "ratio"]
TYPES = {
    **dict.fromkeys(["source", "ticket", "layer"], "string"),
    **dict.fromkeys(["round", "seed", "position", "survivors", "total"], "int64"),
    **dict.fromkeys(["fraction_pruned", "ratio"], "float64"),
}


def survivors_by_layer(results: pd.DataFrame, snapshot: Records, spec: Spec) -> pd.DataFrame:
    """One row for each prunable layer of every mask that is there, layers in the model's order (`position` 0, 1, ...).

    Masks are those of the sources' chains, once a (source, round, seed), with the name of the first winning kind as
    `ticket`; and, once a (source, ticket, round, seed), those of controls that move weights from layer to layer. Other
    tickets have as many in each layer as the chain's mask, and are not repeated.

    `fraction_pruned` is the layer's, in [0, 1]; `ratio` that over the fraction pruned of the whole mask: Morcos et al.
    2019, Figure 1b, where the layerwise rate is the overall one. It is NaN where nothing is pruned (round 0).
    """
    winning = spec.winning[:1]
    moving = [ticket.name for ticket in spec.tickets if ticket.mask == "permuted-globally"]
    chains = results[results["mask"].notna()].assign(ticket=(winning or ["winning"])[0], record=results["mask"])
    # round 0 has no mask: its training says which layers there are; so does a control's how its mask was drawn
    dense = results[results["ticket"].isin(winning) & (results["round"] == 0)]
    controls = results[results["ticket"].isin(moving) & (results["round"] > 0)]
    trainings = pd.concat([dense, controls])
    trainings = trainings[trainings["status"].isin(["ok", "diverged"])]
    asked = pd.concat([chains, trainings.assign(record=trainings["stage"])]).sort_index(kind="stable")
    names = ["source", "ticket", "round", "seed"]
    orders = _orders(snapshot, chains["record"])
    own = {source: _order(snapshot, keys) for source, keys in chains.groupby("source", sort=False)["record"]}
    rows: list[list[Any]] = []
    told: set[tuple[Any, ...]] = set()
    for *name, key in asked[[*names, "record"]].drop_duplicates().itertuples(index=False):
        # the same mask on every target: the first that has a record tells it
        record = None if tuple(name) in told else snapshot.record(key)
        if record is not None:
            told.add(tuple(name))
            rows += [[*name, *numbers] for numbers in _layers(record["summary"], own.get(name[0], []), orders)]
    return pd.DataFrame(rows, columns=COLUMNS).astype(TYPES)


LAYERS = Table("layers", lambda findings: survivors_by_layer(findings.results, findings.read.snapshot, findings.spec))

Orders = dict[frozenset[str], list[str]]
"""Names of a model's layers -> the same in the model's order, which the JSON of a summary has lost."""


def _orders(snapshot: Records, masks: pd.Series[str]) -> Orders:
    """Of all models: the pruning of a mask goes through the layers in the model's order."""
    orders: Orders = {}
    for key in masks.drop_duplicates():
        layers = _order(snapshot, [key])
        orders.setdefault(frozenset(layers), layers)
    return orders


def _order(snapshot: Records, masks: Iterable[str]) -> list[str]:
    """Layers of the first of `masks` that is there; none where none is."""
    records = (snapshot.record(key) for key in masks)
    return next((list(record["fields"].get("layers", ())) for record in records if record is not None), [])


def _layers(summary: dict[str, Any], own: list[str], orders: Orders) -> list[list[Any]]:
    """Layer, position, survivors, total, fraction pruned and ratio of each layer of a record's summary.

    `own`: the layers that the source prunes; of a network that is whole, the summary has all but the output layer.
    """
    total = summary["total"]
    total = {name: total[name] for name in own or orders.get(frozenset(total), list(total)) if name in total}
    survivors = {name: summary["survivors"][name] for name in total}
    overall = 1 - sum(survivors.values()) / max(1, sum(total.values()))
    pruned = {name: 1 - survivors[name] / size for name, size in total.items()}
    return [
        [name, position, survivors[name], size, pruned[name], pruned[name] / overall if overall else float("nan")]
        for position, (name, size) in enumerate(total.items())
    ]
