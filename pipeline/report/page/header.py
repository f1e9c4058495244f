"""The page's first lines: what the grid is made of, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.engine.point_labels import model_label
from pipeline.lottery.counting import count_of
from pipeline.report.findings import Findings
from pipeline.report.sections.provenance import PROVENANCE
from pipeline.report.sections.unmade import UNMADE, unfinished
from pipeline.report.wording import moment


@dataclass(frozen=True, slots=True)
class Header:
    """`counts`: what the grid is made of. `banner`: how far it is, empty where everything has a result."""

    model: str
    counts: str
    made: str
    banner: str


def header(findings: Findings) -> Header:
    """The page's first lines."""
    spec = findings.spec
    counts = (
        f"{count_of(len(spec.sources), 'source')}, {count_of(len(spec.targets), 'target')}, "
        f"{count_of(len(spec.seeds), 'seed')}, {count_of(len(spec.tickets), 'ticket')} "
        f"({', '.join(ticket.name for ticket in spec.tickets)})"
    )
    model = ", ".join(map(model_label, spec.models))
    version = findings.of(PROVENANCE).get("report", {}).get("versions", {}).get("ticket-transfer", "")
    made = f"read {moment(findings.made)}" + f" by ticket-transfer {version}" * bool(version)
    return Header(model, counts, made, _banner(findings))


def _banner(findings: Findings) -> str:
    status = findings.results["status"].value_counts()
    there = int(status.get("ok", 0) + status.get("diverged", 0))
    if there == len(findings.results):
        return ""
    have = "has" if there == 1 else "have"
    parts = [f"{there:,} of {count_of(len(findings.results), 'run')} {have} a result"]
    left = unfinished(findings)
    parts += [f"{count_of(left, 'is', 'are')} still to run"] * (left > 0)
    unmade = findings.of(UNMADE)["status"].value_counts()
    parts += [
        f"{unmade[name]:,} {word}" for name, word in (("failed", "failed"), ("blocked", "cannot run")) if name in unmade
    ]
    return f"Partial: {'; '.join(parts)}. Means and tests are over the seeds that have one."
