"""The still figures beside the page, as PNG for talks and SVG for papers: the page's charts, its names and colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.report.findings import Findings
from pipeline.report.report_files import write_whole
from pipeline.report.sections import order
from pipeline.report.sections.section import Still

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
SETTINGS: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "figure", "hatch.linewidth": 0.5}
"""Text stays text, and the same findings give the same file."""


def write_figures(findings: Findings, folder: Path) -> list[Path]:
    """Write every figure that has something to show, as NAME.png and NAME.svg; one that has not is removed.

    Each file appears whole or not at all.
    """
    import matplotlib

    files = []
    for name, draw in drawn().items():
        paths = [folder / f"{name}.{kind}" for kind in FORMATS]
        with matplotlib.rc_context(SETTINGS):
            figure = draw(findings)
            for path in paths:
                if figure is None:
                    path.unlink(missing_ok=True)
                else:
                    files.append(write_whole(path, _saver(figure, path.suffix)))
                    figure.set_layout_engine("none")  # the layout is done, and is half the time of writing
    return files


def _saver(figure: Figure, suffix: str) -> Callable[[Path], None]:
    # the date of writing would make every file another one
    metadata: dict[str, Any] = {"Date": None} if suffix == ".svg" else {}
    return lambda path: figure.savefig(path, metadata=metadata)


def drawn() -> dict[str, Still]:
    """All figures of the sections, by name."""
    return {name: still for section in order.SECTIONS for name, still in section.stills.items()}
