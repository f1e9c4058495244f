"""The still figures beside the page, as PNG for talks and SVG for papers: the page's charts, its names and colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.lottery.counting import count_of
from pipeline.report.charts.bands import spread_in_words
from pipeline.report.charts.convergence import convergence_charts
from pipeline.report.charts.curves import pruning_curves
from pipeline.report.charts.inside_tickets import connectivity_charts, initial_weight_charts
from pipeline.report.charts.layers import layer_charts, ratio_charts
from pipeline.report.charts.learning_levels import learning_panels
from pipeline.report.charts.overlap import between_rounds, overlap_charts
from pipeline.report.charts.sensitivity import sensitivity_charts
from pipeline.report.charts.training import learning_curves, learning_level
from pipeline.report.findings import Findings
from pipeline.report.stills.matrix import matrix_figure
from pipeline.report.stills.panels import PANEL, panels_figure
from pipeline.report.whole_files import write_whole
from pipeline.report.wording import percent_left

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
SETTINGS: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "figure", "hatch.linewidth": 0.5}
"""Text stays text, and the same findings give the same file."""
LAYER, WIDEST = 0.36, 12.0
"""Inches of a layer whose name can be read, and of a panel."""


def write_figures(findings: Findings, folder: Path) -> list[Path]:
    """Write every figure that has something to show, as NAME.png and NAME.svg; one that has not is removed.

    Each file appears whole or not at all.
    """
    import matplotlib

    files = []
    for name, draw in FIGURES.items():
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


def curves_figure(findings: Findings) -> Figure | None:
    """Test accuracy against weights remaining, a panel a target."""
    charts = pruning_curves(findings)
    return panels_figure(charts, f"{findings.name}\n{_spread(findings)}, {_seeds(findings)}") if charts else None


def sensitivity_figure(findings: Findings) -> Figure | None:
    """Test accuracy against what remains of one layer, where each is pruned alone; a panel a target."""
    charts = sensitivity_charts(findings)
    title = f"{findings.name}: each layer pruned alone"
    return panels_figure(charts, f"{title}\n{_spread(findings)}, {_seeds(findings)}") if charts else None


def learning_figure(findings: Findings) -> Figure | None:
    """Learning curves at the level of the matrices, or a row of panels for each target and source at several levels."""
    asked = findings.spec.analysis.levels
    if asked is not None:
        return _levels_figure(findings, asked)
    level = learning_level(findings)
    charts = learning_curves(findings, level) if level is not None else []
    if level is None or not charts:
        return None
    title = f"{findings.name}: training with {percent_left(level)} of the weights"
    return panels_figure(charts, title + f"\n{_spread(findings)}" * (findings.spec.analysis.spread == "range"))


def _levels_figure(findings: Findings, asked: Sequence[float]) -> Figure | None:
    panels = learning_panels(findings, asked)
    if not panels.rows:
        return None
    title = f"{findings.name}: {_spread(findings)}\ndots: convergence, with the same spread of iterations"
    charts = [chart for row in panels.rows for chart in row]
    return panels_figure(charts, "\n".join([title, *panels.remarks]), columns=min(4, max(map(len, panels.rows))))


def convergence_figure(findings: Findings) -> Figure | None:
    """Iterations to convergence and test accuracy then, against weights remaining; a row a target."""
    charts = convergence_charts(findings)
    title = f"{findings.name}: iterations to convergence, and accuracy then,\n{_spread(findings)}"
    return panels_figure(charts, title, columns=2) if charts else None


def layers_figure(findings: Findings) -> Figure | None:
    """What remains and the ratio of Figure 1b, by layer and round; a row a source."""
    charts = [chart for of_source in layer_charts(findings) for chart in of_source]
    return panels_figure(charts, f"{findings.name}: survivors by layer, means over seeds") if charts else None


def ratio_figure(findings: Findings) -> Figure | None:
    """Morcos et al. 2019, Figure 1b: the ratio of global to layerwise pruning by layer and round; a panel a source."""
    charts = ratio_charts(findings)
    if not charts:
        return None
    layers = max(len(one.x) for chart in charts for one in chart.series)
    width = min(WIDEST, max(PANEL[0], LAYER * layers + 1))
    title = f"{findings.name}: ratio of global to layerwise pruning\nby layer and round, means over seeds"
    a_row = 3 if width == PANEL[0] else 1 if len(charts) < 3 else 2
    return panels_figure(charts, title, (width, PANEL[1] + 0.4), a_row)


def initial_weights_figure(findings: Findings) -> Figure | None:
    """Frankle & Carbin 2018, Figure 9: what surviving connections started from; a panel a level."""
    charts = [chart for of_source in initial_weight_charts(findings) for chart in of_source]
    title = f"{findings.name}: initial weights that survive, by layer, all seeds together"
    return panels_figure(charts, title) if charts else None


def connectivity_figure(findings: Findings) -> Figure | None:
    """Frankle & Carbin 2018, Figure 10: units that each unit is connected to; a panel a layer."""
    charts = [chart for of_source in connectivity_charts(findings) for chart in of_source]
    title = f"{findings.name}: connectivity by unit and weights remaining, means over seeds"
    return panels_figure(charts, title) if charts else None


def overlap_figure(findings: Findings) -> Figure | None:
    """What masks have in common, beside chance."""
    rounds = between_rounds(findings)
    charts = overlap_charts(findings) + ([] if isinstance(rounds, str) else rounds)
    return panels_figure(charts, f"{findings.name}: weights in common, mean ±1 std over seeds") if charts else None


FIGURES: Mapping[str, Callable[[Findings], Figure | None]] = {
    "curves": curves_figure,
    "sensitivity": sensitivity_figure,
    "matrix": matrix_figure,
    "learning": learning_figure,
    "layers": layers_figure,
    "ratio": ratio_figure,
    "initial_weights": initial_weights_figure,
    "connectivity": connectivity_figure,
    "overlap": overlap_figure,
    "convergence": convergence_figure,
}


def _spread(findings: Findings) -> str:
    return spread_in_words(findings.spec.analysis.spread)


def _seeds(findings: Findings) -> str:
    there = findings.curves[findings.curves["n"] > 0]
    least, most = int(there["n"].min()), int(there["n"].max())
    diverged = int(there["n_diverged"].sum())
    seeds = f"n = {most}" if least == most else f"n = {least} to {most}"
    return seeds + (f", {count_of(diverged, 'diverged run')} among them" if diverged else "")
