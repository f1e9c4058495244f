"""What the page says about what is inside tickets: what is counted, and why some sources have no charts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.experiment.models import Perceptron
from pipeline.recipes.steps import Steps
from pipeline.report.analysis.connectivity import MOST_LAYERS, MOST_UNITS
from pipeline.report.charts import inside_tickets as charts
from pipeline.report.findings import Findings
from pipeline.report.wording import listed

FOLLOWED = (
    "Edges without a path to an output are left out; the path is followed through the layers in their order, each of "
    "which reads as many units as the one before has."
)
AS_THEY_ARE = "All edges count, also those without a path to an output: the layers are no plain chain"
LEFT_OUT = "“What this report leaves out” names it"


@dataclass(frozen=True, slots=True)
class Connectivity:
    """`edges`: which of them count; `without`: why some sources have no charts, empty where all have."""

    edges: str
    without: str


def about_initial_weights(findings: Findings) -> str:
    """When surviving connections had the values that are drawn, as a clause."""
    shown = set(findings.initial_weights["source"])
    moments = dict.fromkeys(str(source.prune.rewind) for source in findings.spec.sources if source.name in shown)
    return f"at {listed(list(moments))} of round 0"


def no_initial_weights(findings: Findings) -> str:
    """Why some sources have no charts; empty where all have."""
    table = findings.initial_weights
    layers = table.groupby("source")["position"].nunique().to_dict()

    def reason(source: Any) -> str:
        if source.name in layers:
            crowded = layers[source.name] > charts.MOST_LAYERS
            return f"more than {charts.MOST_LAYERS} prunable layers: initial_weights.csv has them" if crowded else ""
        if source.prune.rewind == "none":
            return "trained on instead of rewound, each round starts from other weights"
        if source.prune.rewind == Steps() and not findings.spec.retention.initialization:
            return "the weights that tickets start from are not kept (retention: {initialization: true} keeps them)"
        return f"masks or the weights that tickets start from are not there yet, or {LEFT_OUT}"

    return _by_reason(findings, reason)


def about_connectivity(findings: Findings) -> Connectivity:
    """What counts as an edge, and what is not drawn."""
    table = findings.connectivity
    followed = table.groupby("source", sort=False)["to_output"].first()
    branching = [str(source) for source in followed.index[~followed.astype(bool)]]
    edges = f"{AS_THEY_ARE}." if len(branching) == len(followed) else FOLLOWED
    if 0 < len(branching) < len(followed):
        edges += f" Of {listed(branching)}: {AS_THEY_ARE[0].lower()}{AS_THEY_ARE[1:]}."
    pruned = set(findings.layers.loc[findings.layers["round"] > 0, "source"])

    def reason(source: Any) -> str:
        if source.name in followed.index:
            return ""
        if isinstance(source.model, Perceptron):
            return "many networks are trained at once, each with connections of its own"
        if source.name not in pruned:
            return "no mask has been made yet"
        return f"there are more than {MOST_LAYERS} prunable layers or {MOST_UNITS:,} units in one, or {LEFT_OUT}"

    return Connectivity(edges, _by_reason(findings, reason))


def _by_reason(findings: Findings, reason: Callable[[Any], str]) -> str:
    """A sentence for each reason, with the sources that have it."""
    sources: dict[str, list[str]] = {}
    for source in findings.spec.sources:
        sources.setdefault(reason(source), []).append(source.name)
    sources.pop("", None)
    return " ".join(f"Not drawn for {listed(names)}: {why}." for why, names in sources.items())
