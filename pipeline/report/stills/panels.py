"""Charts drawn by matplotlib: one panel a chart, one legend for all."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.report.charts import palette
from pipeline.report.charts.chart import CROWD, Chart, Series, as_floats
from pipeline.report.stills.insets import empty_corner, finish_inset

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TICKS = [100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]
PRUNED_TICKS = [0, 50, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99]
PANELS_A_ROW = 3
MOST_PANELS = 12
"""The page has the others: a picture of more is read by nobody, and takes half a minute."""
PANEL = (4.2, 3.4)
"""Inches: two panels beside one another are a page's width, and their text can be read there."""
NARROWEST = 5.4
"""Inches of a figure: its title and its legend need so much."""
BESIDE = 0.5
"""Of a panel's width: an inset that stands beside it."""
MARKED = 60
"""Points up to which a line of an ordered family has markers."""
LETTER = 0.075
"""Inches of a letter of the legend, about."""
KEY = 0.75
"""Inches of the rest of an entry."""


def panels_figure(
    charts: Sequence[Chart], title: str, size: tuple[float, float] = PANEL, a_row: int = 3, columns: int | None = None
) -> Figure | None:
    """One figure of all charts, or of the first MOST_PANELS, which the title then says. None where there is no chart.

    `size`: of a panel in inches; `a_row`: panels beside one another, at most; `columns`: exactly so many, where charts
    of a row belong together.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not charts:
        return None
    drawn = charts[:MOST_PANELS]
    if len(drawn) < len(charts):
        title += f"\n{len(drawn)} of {len(charts)} panels: the page has all"
    thirds = len(drawn) % PANELS_A_ROW == 0
    columns = columns or min(a_row, PANELS_A_ROW if thirds else max(1, math.ceil(math.sqrt(len(drawn)))))
    rows = math.ceil(len(drawn) / columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, columns)
    panels = [figure.add_subplot(grid[place // columns, place % columns]) for place in range(len(drawn))]
    for panel, chart in zip(panels, drawn, strict=True):
        draw(panel, chart)
    title += "\ninsets: whole y axes" if _insets(figure, panels, drawn) else ""
    figure.set_figwidth(max(NARROWEST, figure.get_figwidth()))
    letters = int(figure.get_figwidth() / LETTER)
    words = [row for line in title.split("\n") for row in textwrap.wrap(line, letters)]
    figure.set_figheight(figure.get_figheight() + 0.4 + 0.2 * (_legend(figure, panels) + len(words)))
    figure.suptitle("\n".join(words), fontsize=10)
    return figure


def draw(axes: Axes, chart: Chart) -> None:
    """One chart, its y axis narrowed to where the differences are if the whole range would hide them."""
    places = list(dict.fromkeys(layer for one in chart.series for layer in one.x)) if _is_category(chart) else []
    _lines(axes, chart.series, places)
    _abscissa(axes, chart, places)
    if chart.y.kind == "log":
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title(chart.title, fontsize=10, fontweight="bold")
    axes.set_ylabel(chart.y.title)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["right"]].set_visible(False)
    if chart.narrowed:
        axes.set_ylim(chart.narrowed)


def _insets(figure: Figure, panels: Sequence[Axes], charts: Sequence[Chart]) -> int:
    """The whole range of narrowed panels: in an empty corner, or of all panels beside them if one has none.

    Returns how many there are.
    """
    # of lines along iterations the whole range shows nothing that differs
    drawn = zip(panels, charts, strict=True)
    narrowed = [(panel, chart) for panel, chart in drawn if chart.narrowed and not chart.narrow]
    corners = [empty_corner(panel, chart.series) for panel, chart in narrowed]
    for (panel, chart), corner in zip(narrowed, corners, strict=True):
        inset = panel.inset_axes(corner) if corner and all(corners) else _beside(figure, panel)
        _lines(inset, chart.series, [], small=True)
        finish_inset(inset, panel)
    if not all(corners):
        figure.set_figwidth(figure.get_figwidth() * (1 + BESIDE))
    return len(narrowed)


def _beside(figure: Figure, panel: Axes) -> Axes:
    """Axes at the right of a panel, half as high."""
    place = panel.get_subplotspec()
    assert place is not None
    columns = place.subgridspec(1, 2, width_ratios=[1, BESIDE])
    panel.set_subplotspec(columns[0])
    return figure.add_subplot(columns[1].subgridspec(2, 1)[1])


def _lines(axes: Axes, series: Sequence[Series], places: list[str], small: bool = False) -> None:
    """Bands below, thin lines of a crowd next, then what stands out. `small`: without markers."""
    crowded = sum(one.role == "line" and not (one.line and one.line.shared) for one in series) > CROWD
    strong = [one for one in series if not crowded or _stands_out(one)]
    thin = [one for one in series if one not in strong]
    for number, one in enumerate(thin):
        label = f"{len(thin)} other lines" if number == 0 else None
        axes.plot(_x(one, places), as_floats(one.y), color=_ink(one), alpha=0.5, linewidth=0.7, label=label)
    for one in strong:
        _line(axes, one, places, small)


def _stands_out(one: Series) -> bool:
    return one.role != "line" or one.own or (one.line is not None and one.line.shared)


def _line(axes: Axes, one: Series, places: list[str], small: bool) -> None:
    x, y, ink = _x(one, places), as_floats(one.y), _ink(one)
    low, high = one.band()
    if np.any(high > low):
        axes.fill_between(x, low, high, color=ink, alpha=0.15, linewidth=0)
    is_line = one.role == "line" and one.line is not None
    pointed = one.points and len(one.x) <= MARKED
    marker = one.line.marker if is_line and one.line else "o" if one.role == "step" and pointed else ""
    look: dict[str, Any] = {"linewidth": 1} if small else {"linewidth": 1.4, "marker": marker}
    if is_line and one.line and one.line.dash and not one.line.shared:  # a lone point has no dashes to tell it by
        look["markerfacecolor"] = "white"
    label = _unparsed(one.name) if one.legend else None
    if one.role == "histogram":
        look |= {"drawstyle": "steps-mid", "linewidth": 1.1}
    axes.plot(x, y, color=ink, linestyle=_dashes(one), markersize=4 if is_line else 2, label=label, **look)
    if one.marked and not small:
        at = list(one.marked)
        axes.plot(x[at], y[at], "o", color=ink, markerfacecolor="none", markersize=9, label="with a diverged run")
    if one.moment is not None and not small:
        at_x, half = one.moment.x, [[one.moment.x - one.moment.low], [one.moment.high - one.moment.x]]
        dot: dict[str, Any] = {"markersize": 7, "markeredgecolor": "white", "capsize": 2, "zorder": 4}
        axes.errorbar([at_x], [one.moment.y], xerr=half, fmt="o", color=ink, **dot)


def _ink(one: Series) -> str:
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    if one.role == "step":
        return to_hex(LinearSegmentedColormap.from_list("rounds", palette.SEQUENCE)(one.place))
    if one.role == "chance" and one.line is None:
        return palette.GREYS[1 if one.place else 0]
    return one.line.ink if one.line is not None and one.role in ("line", "chance", "histogram") else "black"


def _dashes(one: Series) -> Any:
    if one.role in ("line", "histogram") and one.line is not None:
        return one.line.dashes
    return {"step": "-", "chance": (0, (1, 1.5)) if one.place else (0, (5, 2))}.get(one.role, (0, (3, 3)))


def _is_category(chart: Chart) -> bool:
    return chart.x.kind == "category"


def _unparsed(name: str) -> str:
    """A name that may be a user's: dollars in it are no formula."""
    return name.replace("$", r"\$")


def _x(one: Series, places: list[str]) -> Any:
    return np.array([places.index(layer) for layer in one.x], dtype=float) if places else as_floats(one.x)


def _abscissa(axes: Axes, chart: Chart, places: list[str]) -> None:
    axes.set_xlabel(chart.x.title)
    if places:
        axes.set_xticks(
            range(len(places)),
            [_unparsed(place) for place in places],
            rotation=90 if len(places) > 8 else 0,
            fontsize=8,
        )
    elif chart.x.kind == "left":
        _percent_axis(axes, min((min(one.x) for one in chart.series if one.x), default=10.0))
    elif chart.x.kind == "weights":
        counts = [x for one in chart.series for x in one.x]
        axes.set_xscale("log")
        axes.set_xlim(1.25 * max(counts), min(counts) / 1.25)
        axes.xaxis.set_major_formatter("{x:,.0f}")


def _percent_axis(axes: Axes, least: float) -> None:
    """Weights remaining in percent, 100 at the left; above it what is pruned."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    end = min(least, 50)
    axes.set_xscale("log")
    axes.set_xlim(125, end / 1.25)
    remaining = [tick for tick in TICKS if tick >= end / 1.25]
    axes.xaxis.set_major_locator(FixedLocator(remaining))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in remaining]))
    axes.xaxis.set_minor_locator(NullLocator())
    above = axes.secondary_xaxis("top")
    pruned = [tick for tick in PRUNED_TICKS if 100 - tick >= end / 1.25]
    above.xaxis.set_major_locator(FixedLocator([100 - tick for tick in pruned]))
    above.xaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in pruned]))
    above.xaxis.set_minor_locator(NullLocator())
    above.tick_params(labelsize=7, colors="#666666")
    above.set_xlabel("weights pruned (%)", fontsize=7, color="#666666")


def _legend(figure: Figure, panels: Sequence[Axes]) -> int:
    """One legend for all panels, below them. Returns how many lines it has."""
    entries: dict[str, Any] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        entries.update({label: handle for handle, label in zip(handles, labels, strict=True) if label not in entries})
    if not entries:
        return 0
    longest = max(map(len, entries))
    columns = max(1, min(len(entries), int(figure.get_figwidth() / (KEY + LETTER * longest))))
    figure.legend(
        entries.values(), entries.keys(), loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )
    return math.ceil(len(entries) / columns)
