"""The source x target matrices as a still figure, at the level that the page opens with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.report.wording import margin_points, percent_left

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pipeline.report.sections.matrices import Matrices, Matrix

POSITIVE, NEGATIVE, EMPTY = "#2F7FC1", "#D9772B", "#F5F6F8"
MOST = 16
"""Sources and targets that are drawn: the page has the others."""
CELL = (1.25, 0.5)
"""Inches."""


def matrix_figure(name: str, compared: Matrices, margin: float) -> Figure:
    """All matrices of an experiment below one another."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(MOST, max(len(table.columns) for table in compared.tables))
    heights = [min(MOST, len(table.rows)) * CELL[1] + 0.8 for table in compared.tables]
    width = max(7.5, columns * CELL[0] + 2.5)
    figure = Figure(figsize=(width, sum(heights) + 1), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights).flatten()
    for axes, table in zip(panels, compared.tables, strict=True):
        _matrix(axes, table, compared)
    few = len(compared.sources) <= MOST and len(compared.targets) <= MOST
    left_out = "" if few else f"\nthe first {MOST} sources and targets: the page has all"
    figure.suptitle(
        f"{name}, {percent_left(compared.levels[compared.chosen])} of the weights remaining: differences in "
        f"points of test accuracy{left_out}\n95 % intervals beneath; *: p < 0.05 after Holm's correction; "
        f"≡: equivalent within ±{margin_points(margin)}; hatched: no test",
        fontsize=9,
    )
    return figure


def _matrix(axes: Axes, table: Matrix, compared: Matrices) -> None:
    rows, columns = table.rows[:MOST], table.columns[:MOST]
    cells = table.cells
    here = range(cells["start"][compared.chosen], cells["start"][compared.chosen + 1])
    places: dict[tuple[int, int], int] = {}
    for row in here:
        places.setdefault((cells["s"][row], cells["c"][row]), row)
    strongest = max([100, *(abs(cells["d"][row] or 0) for row in places.values())])
    for y, source in enumerate(rows):
        for x, target in enumerate(columns):
            if (source, target) in places:
                _cell(axes, x, y, cells, places[source, target], strongest, compared)
            else:
                own = table.comparison == "transfer" and (source, target) in compared.own
                axes.text(x, y, "own source" if own else "–", ha="center", va="center", fontsize=7, color="#666666")
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks(range(len(columns)), [compared.targets[target] for target in columns], fontsize=8)
    axes.set_yticks(range(len(rows)), [compared.sources[source] for source in rows], fontsize=8)
    axes.tick_params(length=0, top=True, bottom=False, labeltop=True, labelbottom=False)
    axes.set_aspect(CELL[1] / CELL[0], anchor="W")
    axes.set_ylabel("source", fontsize=8)
    axes.set_title(table.title, fontsize=10, fontweight="bold", loc="left")
    axes.spines[:].set_visible(False)


def _cell(axes: Axes, x: int, y: int, cells: dict[str, Any], row: int, strongest: float, compared: Matrices) -> None:
    from matplotlib.patches import Rectangle

    difference, tested = cells["d"][row], not compared.remarks[cells["why"][row]]
    colour = _colour(difference / strongest) if tested else "white"
    hatch = None if tested else "////"
    box = Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="#D5D9DE", hatch=hatch, linewidth=0.6)
    axes.add_patch(box)
    text = "n/a" if difference is None else f"{difference / 100:+.2f}"
    marks = "*" * bool(cells["flags"][row] & 1) + "≡" * bool(cells["flags"][row] & 2)
    ground = {} if tested else {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1}}
    axes.text(x, y - 0.12 * tested, text + marks, ha="center", va="center", fontsize=9, **ground)
    if tested:
        interval = f"{cells['low'][row] / 100:+.2f} to {cells['high'][row] / 100:+.2f}"
        axes.text(x, y + 0.24, interval, ha="center", va="center", fontsize=6)


def _colour(strength: float) -> Any:
    """From EMPTY at 0 to three fifths of the full colour at +-1, as on the page."""
    from matplotlib.colors import to_rgb

    towards = np.array(to_rgb(POSITIVE if strength > 0 else NEGATIVE))
    share = 0.6 * abs(strength)
    return tuple(share * towards + (1 - share) * np.array(to_rgb(EMPTY)))
