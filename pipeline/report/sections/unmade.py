"""Runs that diverged, failed or are missing, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.engine.store.records import Records
from pipeline.experiment.grid import Grid
from pipeline.experiment.planning import plan
from pipeline.lottery.counting import count_of
from pipeline.report.findings import Findings, Table
from pipeline.report.rows import records
from pipeline.report.sections.section import Fragment, Screen, Section

if TYPE_CHECKING:
    from rich.text import Text

COLUMNS = ["source", "target", "ticket", "round", "seed", "status", "why", "stage", "test_accuracy"]
DIVERGED = "its loss was not finite; it counts in the means with the accuracy it had then"
MISSING = "not run yet"


def still_skipped(
    grid: Grid, skipped: Mapping[str, str], failed: Mapping[str, str], snapshot: Records
) -> dict[str, str]:
    """Those of `skipped` that still read, directly or not, what failed and has no record since.

    Another experiment may have made in the meantime what failed here.
    """
    stuck = {key for key in failed if snapshot.record(key) is None}
    for key, stage in grid.stages.items():  # in topological order
        if snapshot.record(key) is None and any(read.stage in stuck for read in stage.inputs.values()):
            stuck.add(key)
    return {key: why for key, why in skipped.items() if key in stuck}


def unmade(
    results: pd.DataFrame, failed: Mapping[str, str], skipped: Mapping[str, str], blocked: Mapping[str, str]
) -> pd.DataFrame:
    """One row for each point that is not `ok`, in the order of `results`.

    The mappings go from stage keys to reasons: `failed` when it was last run, `skipped` because what it reads failed,
    `blocked` because what it reads diverged. `status`: `diverged`, `failed`, `blocked` (there can be no result, or
    none before something else is mended) or `missing` (a run would make it).
    """
    rows = results[results["status"] != "ok"]
    status = rows["status"].to_list()
    why = []
    for place, (key, found) in enumerate(zip(rows["stage"], list(status), strict=True)):
        if found == "diverged":
            why.append(DIVERGED)
        elif key in failed:
            status[place] = "failed"
            why.append(failed[key])
        elif key in blocked or key in skipped:
            status[place] = "blocked"
            why.append(blocked.get(key) or skipped[key])
        else:
            why.append(MISSING)
    table = rows.assign(status=status, why=why).reindex(columns=COLUMNS).reset_index(drop=True)
    return table.astype({"status": "string", "why": "string"})


def _of(findings: Findings) -> pd.DataFrame:
    read = findings.read
    skipped = still_skipped(read.grid, read.skipped, read.failed, read.snapshot)
    return unmade(findings.results, read.failed, skipped, plan(read.grid, read.snapshot).blocked)


UNMADE = Table("unmade", _of)


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
CANNOT = {"failed": "failed", "blocked": "cannot run"}
SAID = {
    "diverged": ("diverged (it counts with its accuracy)", "diverged (counted with their accuracy)"),
    "failed": ("failed", "failed"),
    "missing": ("has no result yet", "have no result yet"),
}
"""In the terminal, likewise."""


def _banner(findings: Findings) -> str:
    status = findings.results["status"].value_counts()
    there = int(status.get("ok", 0) + status.get("diverged", 0))
    if there == len(findings.results):
        return ""
    unmade = findings.of(UNMADE)["status"].value_counts()
    left = int(unmade.get("missing", 0))
    parts = [f"{there:,} of {count_of(len(findings.results), 'run')} {'has' if there == 1 else 'have'} a result"]
    parts += [f"{count_of(left, 'is', 'are')} still to run"] * (left > 0)
    parts += [f"{unmade[name]:,} {words}" for name, words in CANNOT.items() if name in unmade]
    return f"Partial: {'; '.join(parts)}. Means and tests are over the seeds that have one."


def _page(findings: Findings) -> Fragment:
    """At most SHOWN of them, those that can be mended first."""
    unmade = findings.of(UNMADE)
    counts = unmade["status"].value_counts()
    groups = [count_of(int(counts[status]), *WORDS[status]) for status in ORDER if status in counts]
    rank = unmade["status"].map({status: place for place, status in enumerate(ORDER)})
    ordered = unmade.assign(rank=rank).sort_values("rank", kind="stable").head(SHOWN)
    accuracy = [f"{100 * value:.2f}" if value == value else "" for value in ordered["test_accuracy"].astype("float64")]
    rows = records(ordered.assign(test_accuracy=accuracy))
    return Fragment({"groups": groups, "rows": rows, "more": len(unmade) - len(rows)})


def _lines(findings: Findings, screen: Screen) -> Iterator[Text]:
    from rich.text import Text

    counts = findings.results["status"].value_counts()
    of = count_of(len(findings.results), "run")
    for status, (one, several) in SAID.items():
        if status in counts:
            yield Text(f"{counts[status]:,} of {of} {one if counts[status] == 1 else several}.")


SECTION = Section(
    "unmade",
    "Runs",
    "Runs that diverged, failed or are missing",
    _page,
    computed=(UNMADE,),
    lines=_lines,
    banner=_banner,
)
