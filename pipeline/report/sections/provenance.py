"""Provenance: what the results were made with, and the grid, complete."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from pipeline.engine.addresses import shown
from pipeline.engine.bit_checks import Check
from pipeline.engine.provenance import describe_driver, that_decides_bits
from pipeline.experiment.grid import Grid
from pipeline.lottery.counting import count_of
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
        "made again": [*filter(None, (_made_again(check, read.grid) for check in read.checks))],
        "store": [shown(read.store)],
        "report made with": [_line(describe_driver())],
    }
    grid = yaml.safe_dump(findings.spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return Origin({name: values for name, values in facts.items() if values}, grid)


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
