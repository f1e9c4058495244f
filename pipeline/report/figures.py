"""The pruning curves as a picture: test accuracy against the weights that remain, one panel for each target."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.experiment.spec import ANY, DENSE
from pipeline.report.statistics import curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F"]
"""Okabe and Ito's palette, told apart with any colour vision; its yellow is too pale for lines on white."""
GREYS = ["#666666", "#999999", "#333333"]
MARKERS = "osD^vPX"
DASHES: list[Any] = ["-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2, 2, 2, 2, 2))]
TICKS = [100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]
PRUNED_TICKS = [0, 50, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99]
PANELS_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Line:
    """How one (source, ticket) looks in every panel."""

    label: str
    colour: str
    marker: str
    dashes: Any


def curves_figure(table: pd.DataFrame, path: Path, title: str = "") -> Path:
    """Draw the mean and +-1 standard deviation over seeds of every curve into the PNG file `path`.

    One panel a target; one colour a source; tickets other than the winning one dashed, grey where they belong to no
    source; the dense network's level as a black line with its band. The abscissa is logarithmic, all weights at the
    left. A point without survivors has no place on it and is left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    means = curves(table)
    means = means[means["mean"].notna() & (means["survivors"] > 0)]
    targets = list(dict.fromkeys(table["target"]))
    lines = _lines(means)
    columns = min(PANELS_A_ROW, max(1, math.ceil(math.sqrt(len(targets)))))
    rows = max(1, math.ceil(len(targets) / columns))
    legend_rows = math.ceil((len(lines) + 1) / (columns * 2))
    legend_inches = 0.45 + 0.25 * legend_rows
    height = 3.9 * rows + legend_inches + 0.55
    figure = Figure(figsize=(5.4 * columns, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, target in zip(panels, targets, strict=False):
        _panel(panel, means[means["target"] == target], lines, str(target))
    for panel in panels[len(targets) :]:
        panel.set_axis_off()
    _legend(figure, panels, columns * 2)
    figure.suptitle(f"{title}\n" * bool(title) + f"mean ±1 std over seeds, {_seeds(means)}", fontsize=11)
    figure.savefig(path)
    return path


def _lines(means: pd.DataFrame) -> dict[tuple[str, str], Line]:
    """Sources in the order of the grid; tickets of no source after them."""
    pairs = list(dict.fromkeys(zip(means["source"], means["ticket"], strict=True)))
    pairs = [pair for pair in pairs if pair[1] != DENSE]
    sources = [source for source in dict.fromkeys(source for source, _ in pairs) if source != ANY]
    tickets = sorted(dict.fromkeys(ticket for _, ticket in pairs), key=lambda ticket: ticket != "winning")
    lines = {}
    for source, ticket in sorted(pairs, key=lambda pair: (pair[0] == ANY, tickets.index(pair[1]))):
        kind = tickets.index(ticket)
        if source == ANY:
            others = [name for name in tickets if name != "winning"] or tickets
            colour = GREYS[others.index(ticket) % len(GREYS)] if ticket in others else GREYS[0]
            lines[source, ticket] = Line(ticket, colour, "x", DASHES[max(1, kind) % len(DASHES)])
        else:
            number = sources.index(source)
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            lines[source, ticket] = Line(f"{ticket}, from {source}", colour, marker, DASHES[kind % len(DASHES)])
    return lines


def _panel(axes: Axes, means: pd.DataFrame, lines: dict[tuple[str, str], Line], target: str) -> None:
    for (source, ticket), line in lines.items():
        curve = means[(means["source"] == source) & (means["ticket"] == ticket)].sort_values("survivors")
        if curve.empty:
            continue
        left, mean, std = _percent(curve["survivors"] / curve["total"]), _percent(curve["mean"]), _percent(curve["std"])
        axes.fill_between(left, mean - std, mean + std, color=line.colour, alpha=0.16, linewidth=0)
        axes.plot(
            left, mean, color=line.colour, linestyle=line.dashes, marker=line.marker, markersize=4, label=line.label
        )
    for _, dense in means[means["ticket"] == DENSE].iterrows():
        level, std = 100 * dense["mean"], 100 * dense["std"]
        axes.axhline(level, color="black", linewidth=1, linestyle=(0, (3, 3)), label="dense network")
        if std > 0:
            axes.axhspan(level - std, level + std, color="black", alpha=0.07, linewidth=0)
    _percent_axis(axes, float((means["survivors"] / means["total"]).min()) if len(means) else 0.1)
    axes.set_title(f"target: {target}", fontsize=10, fontweight="bold")
    axes.set_ylabel("test accuracy (%)")
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["right"]].set_visible(False)


def _percent_axis(axes: Axes, least: float) -> None:
    """Weights remaining in percent, 100 at the left; above it what is pruned."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    end = 100 * min(least, 0.5)
    axes.set_xscale("log")
    axes.set_xlim(125, end / 1.25)
    remaining = [tick for tick in TICKS if tick >= end / 1.25]
    axes.xaxis.set_major_locator(FixedLocator(remaining))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in remaining]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("weights remaining (%)")
    above = axes.secondary_xaxis("top")
    pruned = [tick for tick in PRUNED_TICKS if 100 - tick >= end / 1.25]
    above.xaxis.set_major_locator(FixedLocator([100 - tick for tick in pruned]))
    above.xaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in pruned]))
    above.xaxis.set_minor_locator(NullLocator())
    above.tick_params(labelsize=7, colors="#666666")
    above.set_xlabel("weights pruned (%)", fontsize=7, color="#666666")


def _legend(figure: Figure, panels: Any, columns: int) -> None:
    entries: dict[str, Any] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        entries.update({label: handle for handle, label in zip(handles, labels, strict=True) if label not in entries})
    if entries:
        figure.legend(
            entries.values(), entries.keys(), loc="outside lower center", ncols=columns, frameon=False, fontsize=9
        )


def _seeds(means: pd.DataFrame) -> str:
    if means.empty:
        return "no results yet"
    least, most = int(means["n"].min()), int(means["n"].max())
    diverged = int(means["n_diverged"].sum())
    counted = f"n = {most}" if least == most else f"n = {least} to {most}"
    return counted + (f", {diverged} diverged runs among them" if diverged else "")


def _percent(values: pd.Series[float]) -> pd.Series[float]:
    return 100 * values.astype("float64")
