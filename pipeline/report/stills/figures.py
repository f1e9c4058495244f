"""The still figures beside the page, as PNG for talks and SVG for papers: the page's charts, its names and colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.report.charts.curves import pruning_curves
from pipeline.report.charts.layers import layer_charts
from pipeline.report.charts.overlap import between_rounds, overlap_charts
from pipeline.report.charts.training import convergence_charts, learning_curves, learning_level
from pipeline.report.findings import Findings
from pipeline.report.stills.matrix import matrix_figure
from pipeline.report.stills.panels import panels_figure
from pipeline.report.whole_files import write_whole
from pipeline.report.wording import percent_left

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
    for name, draw in FIGURES.items():
        paths = [folder / f"{name}.{kind}" for kind in FORMATS]
        with matplotlib.rc_context(SETTINGS):
            figure = draw(findings)
            if figure is None:
                for path in paths:
                    path.unlink(missing_ok=True)
            else:
                files += [write_whole(path, _saver(figure, path.suffix)) for path in paths]
    return files


def _saver(figure: Figure, suffix: str) -> Callable[[Path], None]:
    # the date of writing would make every file another one
    metadata: dict[str, Any] = {"Date": None} if suffix == ".svg" else {}
    return lambda path: figure.savefig(path, metadata=metadata)


def curves_figure(findings: Findings) -> Figure | None:
    """Test accuracy against weights remaining, a panel a target."""
    charts = pruning_curves(findings)
    return panels_figure(charts, f"{findings.name}\nmean ±1 std over seeds, {_seeds(findings)}") if charts else None


def learning_figure(findings: Findings) -> Figure | None:
    """Learning curves at the level of the matrices."""
    level = learning_level(findings)
    charts = learning_curves(findings, level) if level is not None else []
    if level is None or not charts:
        return None
    return panels_figure(charts, f"{findings.name}: training with {percent_left(level)} of the weights")


def convergence_figure(findings: Findings) -> Figure | None:
    """Iterations to convergence against weights remaining."""
    charts = convergence_charts(findings)
    title = f"{findings.name}: iterations to convergence, mean ±1 std over seeds"
    return panels_figure(charts, title) if charts else None


def layers_figure(findings: Findings) -> Figure | None:
    """What remains and the ratio of Figure 1b, by layer and round; a row a source."""
    charts = [chart for of_source in layer_charts(findings) for chart in of_source]
    return panels_figure(charts, f"{findings.name}: survivors by layer, means over seeds") if charts else None


def overlap_figure(findings: Findings) -> Figure | None:
    """What masks have in common, beside chance."""
    rounds = between_rounds(findings)
    charts = overlap_charts(findings) + ([] if isinstance(rounds, str) else rounds)
    return panels_figure(charts, f"{findings.name}: weights in common, mean ±1 std over seeds") if charts else None


FIGURES: Mapping[str, Callable[[Findings], Figure | None]] = {
    "curves": curves_figure,
    "matrix": matrix_figure,
    "learning": learning_figure,
    "layers": layers_figure,
    "overlap": overlap_figure,
    "convergence": convergence_figure,
}


def _seeds(findings: Findings) -> str:
    there = findings.curves[findings.curves["n"] > 0]
    least, most = int(there["n"].min()), int(there["n"].max())
    diverged = int(there["n_diverged"].sum())
    counted = f"n = {most}" if least == most else f"n = {least} to {most}"
    return counted + (f", {diverged} diverged runs among them" if diverged else "")
