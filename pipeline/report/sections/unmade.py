"""Runs that diverged, failed or are missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.lottery.counting import count_of
from pipeline.report.findings import Findings
from pipeline.report.sections.section import Fragment, Screen, Section
from pipeline.report.unmade import UNMADE
from pipeline.report.wording import records

if TYPE_CHECKING:
    from rich.text import Text

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
SAID = {
    "diverged": ("diverged (it counts with its accuracy)", "diverged (counted with their accuracy)"),
    "failed": ("failed", "failed"),
    "missing": ("has no result yet", "have no result yet"),
}
"""In the terminal, likewise."""


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
    "unmade", "Runs", "Runs that diverged, failed or are missing", _page, computed=(UNMADE,), lines=_lines
)
