"""Provenance: what the results were made with, and the grid, complete."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import yaml

from pipeline.engine.addresses import shown
from pipeline.engine.provenance import describe_driver, that_decides_bits
from pipeline.engine.recomputing import Check
from pipeline.experiment.grid import Grid
from pipeline.lottery.counting import count_of
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
        "made again": list(filter(None, (_made_again(check, read.grid) for check in read.checks))),
        "store": shown(read.store),
        "report": describe_driver(),
        "spec": yaml.safe_dump(findings.spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
    }


def _made_again(check: Check, grid: Grid) -> str | None:
    """What share of the grid was made again, when, where, and what came of it; None for none of it."""
    checked = [key for key in check["checked"] if key in grid.stages]
    apart = [key for key in checked if check["checked"][key]]
    if not checked:
        return None
    day = time.strftime("%Y-%m-%d", time.gmtime(check["at"]))
    came = f"other results of {', '.join(key[:12] for key in apart)}" if apart else "the same, bit for bit"
    share = f"{count_of(len(checked), 'stage')} ({len(checked) / len(grid.stages):.1%})"
    torch = check["versions"].get("torch", "of an unknown version")
    return f"{share}, {day}, on {_line(check['hardware'])}, torch {torch}: {came}"


def provenance_rows(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as (name, values) and the spec as YAML."""
    facts = [
        ("versions", [_line(each) for each in provenance.get("versions", [])]),
        ("hardware", [_line(each) for each in provenance.get("hardware", [])]),
        ("commits", list(provenance.get("commits", []))),
        ("drivers", [str(provenance["drivers"])] if "drivers" in provenance else []),
        ("made again", list(provenance.get("made again", []))),
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
