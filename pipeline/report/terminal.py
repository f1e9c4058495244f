"""The report in the terminal: what each section says there."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from pipeline.lottery.printable import escaped
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


def plain_text(findings: Findings, width: int = 120) -> str:
    """The report without colours or box characters, for logs and pipes."""
    from rich.console import Console

    stream = io.StringIO()
    whole = report(findings, width=width, plain=True)
    Console(file=stream, width=width, color_system=None, markup=False, emoji=False).print(whole)
    return escaped(stream.getvalue())
