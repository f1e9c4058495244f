"""The report in the terminal: what each section says there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.report.findings import Findings
from pipeline.report.sections import order
from pipeline.report.sections.section import Screen

if TYPE_CHECKING:
    from rich.console import RenderableType


def report(findings: Findings, *, width: int = 100, plain: bool = False) -> RenderableType:
    """All of the terminal's report, for `rich.console.Console.print`.

    `width`: columns of the terminal; `plain`: ASCII lines instead of box characters.
    """
    from rich import box
    from rich.console import Group

    screen = Screen(box.ASCII if plain else box.SIMPLE_HEAD, width)
    sections = sorted(order.SECTIONS, key=lambda section: section.turn)
    return Group(*(line for section in sections if section.lines for line in section.lines(findings, screen)))
