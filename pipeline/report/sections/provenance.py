"""Provenance: what the results were made with, and the grid, complete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from pipeline.engine.addresses import shown
from pipeline.engine.provenance import describe_driver, that_decides_bits
from pipeline.recipes.keys import canonical
from pipeline.report.findings import Computed, Findings
from pipeline.report.sections.section import Fragment, Section


def provenance(findings: Findings) -> Mapping[str, Any]:
    """Versions, hardware, commits, store and spec."""
    read = findings.read
    versions: dict[str, Any] = {}
    hardware: dict[str, Any] = {}
    commits: dict[str, None] = {}
    drivers: dict[str, None] = {}
    for key in read.grid.stages:
        record = read.snapshot.record(key)
        if record is not None:
            of_host = that_decides_bits(record.get("hardware", {}))
            versions.setdefault(canonical(record.get("versions", {})), record.get("versions", {}))
            hardware.setdefault(canonical(of_host), of_host)
            commits.setdefault(record.get("git_commit", ""))
            drivers.setdefault(record.get("driver", ""))
    return {
        "versions": list(versions.values()),
        "hardware": list(hardware.values()),
        "commits": [commit for commit in commits if commit],
        "drivers": len(drivers),
        "store": shown(read.store),
        "report": describe_driver(),
        "spec": yaml.safe_dump(findings.spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
    }


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
    return {"facts": [(name, values) for name, values in facts if values], "grid": provenance.get("spec", "")}


def _line(facts: Mapping[str, Any]) -> str:
    parts = [
        f"{key} ({_line(value)})" if isinstance(value, Mapping) else f"{key} {value}"
        for key, value in facts.items()
        if value
    ]
    return ", ".join(parts)


PROVENANCE: Computed[Mapping[str, Any]] = Computed("provenance", provenance)


def _page(findings: Findings) -> Fragment:
    return Fragment({**provenance_rows(findings.of(PROVENANCE)), "notes": findings.notes})


SECTION = Section("provenance", "Provenance", "Provenance", _page, computed=(PROVENANCE,))
