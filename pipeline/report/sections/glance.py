"""At a glance: the questions that an experiment is about, answered in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.report.analysis.comparisons import COMPARISONS, LEVEL
from pipeline.report.analysis.networks import NETWORKS
from pipeline.report.analysis.statistics import CURVES
from pipeline.report.findings import Findings
from pipeline.report.sections.networks import how_many_succeed, is_all
from pipeline.report.sections.section import Fragment, Screen, Section
from pipeline.report.verdicts import answers, differences

if TYPE_CHECKING:
    from rich.text import Text


def _answers(findings: Findings) -> list[str]:
    """Where no comparison can be tested and single networks are counted, these are all that is said."""
    counted = how_many_succeed(findings.of(NETWORKS))
    if is_all(findings):
        return counted
    return [*counted, *answers(findings.of(COMPARISONS), findings.of(LEVEL), findings.of(CURVES))]


def _page(findings: Findings) -> Fragment:
    level = None if is_all(findings) else findings.of(LEVEL)
    return Fragment({"level": level, "answers": _answers(findings), "about": findings.about})


def _lines(findings: Findings, screen: Screen) -> Iterator[Text]:
    from rich.text import Text

    yield from map(Text, _answers(findings))
    if not is_all(findings):
        yield from map(Text, differences(findings.of(COMPARISONS), findings.of(LEVEL)))


SECTION = Section("glance", "At a glance", "At a glance", _page, lines=_lines, turn=3)
