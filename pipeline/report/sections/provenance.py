"""Provenance: what the results were made with, and the grid, complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from pipeline.engine.addresses import shown
from pipeline.engine.provenance import describe_driver, that_decides_bits
from pipeline.recipes.keys import canonical
from pipeline.report.findings import Computed, Findings
from pipeline.report.sections.section import Fragment, Section


@dataclass(frozen=True, slots=True)
class Origin:
    """What results were made with."""

    facts: Mapping[str, list[str]]
    """Versions, hardware, commits, drivers and store, by the name of the fact."""
    grid: str
    """As YAML, complete."""


def origin(findings: Findings) -> Origin:
    """From the records of all stages, each fact once."""
    read = findings.read
    versions, hardware = dict[str, Mapping[str, str]](), dict[str, Mapping[str, str]]()
    commits, drivers = dict[str, None](), set[str]()
    for key in read.grid.stages:
        record = read.snapshot.record(key)
        if record is not None:
            of_host = that_decides_bits(record.get("hardware", {}))
            versions.setdefault(canonical(record.get("versions", {})), record.get("versions", {}))
            hardware.setdefault(canonical(of_host), of_host)
            commits.setdefault(record.get("git_commit", ""))
            drivers.add(record.get("driver", ""))
    facts = {
        "versions": [_line(each) for each in versions.values()],
        "hardware": [_line(each) for each in hardware.values()],
        "commits": [*filter(None, commits)],
        "drivers": [str(len(drivers))],
        "store": [shown(read.store)],
        "report made with": [_line(describe_driver())],
    }
    grid = yaml.safe_dump(findings.spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return Origin({name: values for name, values in facts.items() if values}, grid)


def _line(facts: Mapping[str, object]) -> str:
    parts = [
        f"{key} ({_line(value)})" if isinstance(value, Mapping) else f"{key} {value}"
        for key, value in facts.items()
        if value
    ]
    return ", ".join(parts)


PROVENANCE = Computed("provenance", origin)


def _page(findings: Findings) -> Fragment:
    return Fragment({"origin": findings.of(PROVENANCE), "omissions": findings.omissions})


SECTION = Section("provenance", "Provenance", "Provenance", _page, computed=(PROVENANCE,))
