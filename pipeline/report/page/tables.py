"""What the page says in words and plain tables: how far it is, runs without a result, cost, provenance."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline.engine.point_labels import model_label
from pipeline.lottery.counting import count_of
from pipeline.report.findings import Findings

SHOWN = 200
"""Runs without a result that are listed; of more, the files have the rest."""
ORDER = ("diverged", "failed", "blocked", "missing")
WORDS = {
    "diverged": ("diverged: it counts with its accuracy", "diverged: they count with their accuracy"),
    "failed": ("failed", "failed"),
    "blocked": (
        "cannot run: what it starts from diverged or failed",
        "cannot run: what they start from diverged or failed",
    ),
    "missing": ("has no result yet", "have no result yet"),
}
"""Of one run, and of several."""


@dataclass(frozen=True, slots=True)
class Header:
    """`counts`: what the grid is made of. `banner`: how far it is, empty where everything has a result."""

    model: str
    counts: str
    made: str
    banner: str


@dataclass(frozen=True, slots=True)
class Unmade:
    """`groups`: sentences with their counts. `rows`: at most SHOWN, `more` further ones."""

    groups: list[str]
    rows: list[dict[str, Any]]
    more: int


def header(findings: Findings) -> Header:
    """The page's first lines."""
    spec = findings.spec
    counts = (
        f"{count_of(len(spec.sources), 'source')}, {count_of(len(spec.targets), 'target')}, "
        f"{count_of(len(spec.seeds), 'seed')}, {count_of(len(spec.tickets), 'ticket')} "
        f"({', '.join(ticket.name for ticket in spec.tickets)})"
    )
    model = ", ".join(map(model_label, spec.models))
    version = findings.provenance.get("report", {}).get("versions", {}).get("ticket-transfer", "")
    made = f"read {moment(findings.made)}" + f" by ticket-transfer {version}" * bool(version)
    return Header(model, counts, made, _banner(findings))


def _banner(findings: Findings) -> str:
    status = findings.results["status"].value_counts()
    there = int(status.get("ok", 0) + status.get("diverged", 0))
    if there == len(findings.results):
        return ""
    have = "has" if there == 1 else "have"
    parts = [f"{there:,} of {count_of(len(findings.results), 'run')} {have} a result"]
    parts += [f"{count_of(findings.unfinished, 'is', 'are')} still to run"] * (findings.unfinished > 0)
    unmade = findings.unmade["status"].value_counts()
    parts += [
        f"{unmade[name]:,} {word}" for name, word in (("failed", "failed"), ("blocked", "cannot run")) if name in unmade
    ]
    return f"Partial: {'; '.join(parts)}. Means and tests are over the seeds that have one."


def unmade_rows(unmade: pd.DataFrame) -> Unmade:
    """Those that can be mended first."""
    counts = unmade["status"].value_counts()
    groups = [count_of(int(counts[status]), *WORDS[status]) for status in ORDER if status in counts]
    rank = unmade["status"].map({status: place for place, status in enumerate(ORDER)})
    ordered = unmade.assign(rank=rank).sort_values("rank", kind="stable").head(SHOWN)
    accuracy = [f"{100 * value:.2f}" if value == value else "" for value in ordered["test_accuracy"].astype("float64")]
    rows = ordered.assign(test_accuracy=accuracy).to_dict("records")
    return Unmade(groups, [{str(key): value for key, value in row.items()} for row in rows], len(unmade) - len(rows))


def cost_rows(cost: Mapping[str, Any]) -> dict[str, Any]:
    """Sentences about stages and time, and a row for each kind of stage."""
    if not cost:
        return {}
    sentences = [
        f"{cost['done']:,} of {count_of(cost['stages'], 'stage is', 'stages are')} done: "
        f"{count_of(cost['trainings'], 'training')} and {count_of(cost['prunings'], 'pruning')} in all.",
        f"Without sharing it would be {cost['requested']:,}: {count_of(cost['shared'], 'is', 'are')} saved."
        if cost["shared"]
        else "Without sharing it would be as many.",
        f"{cost['lane_hours']:,.3g} lane hours on {count_of(cost['hosts'], 'host')}, "
        f"{count_of(cost['iterations'], 'training iteration')}.",
    ]
    if cost["first"] is not None and cost["last"] is not None:
        sentences.append(f"From {moment(cost['first'])} to {moment(cost['last'])}.")
    rows = cost["seconds"].to_dict("records")
    return {"sentences": sentences, "rows": [{str(key): value for key, value in row.items()} for row in rows]}


def provenance_rows(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as (name, values) and the spec as YAML."""
    facts = [
        ("versions", [_line(each) for each in provenance.get("versions", [])]),
        ("hardware", [_line(each) for each in provenance.get("hardware", [])]),
        ("commits", list(provenance.get("commits", []))),
        ("drivers", [str(provenance["drivers"])] if "drivers" in provenance else []),
        ("store", [provenance["store"]] if provenance.get("store") else []),
        ("report made with", [_line(provenance["report"])] if provenance.get("report") else []),
    ]
    return {"facts": [(name, values) for name, values in facts if values], "spec": provenance.get("spec", "")}


def _line(facts: Mapping[str, Any]) -> str:
    parts = [
        f"{key} ({_line(value)})" if isinstance(value, Mapping) else f"{key} {value}"
        for key, value in facts.items()
        if value
    ]
    return ", ".join(parts)


def moment(seconds: float) -> str:
    """Unix seconds as date and time, UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
