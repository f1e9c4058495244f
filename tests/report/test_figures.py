"""The still figures beside the page."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from pipeline.report.findings import Findings
from pipeline.report.sections.curves import curves_figure
from pipeline.report.sections.layers import layers_figure
from pipeline.report.sections.learning import learning_figure
from pipeline.report.sections.matrices import SECTION as MATRICES
from pipeline.report.sections.overlap import overlap_figure
from pipeline.report.stills.figures import write_figures

NAMES = ["curves", "matrix", "learning", "convergence", "layers", "ratio", "overlap"]
LONG = (0, 1, 2, 3, 4, 5, 6, 9, 12, 15, 18, 21, 24, 27, 30)


def drawn(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


def panels(figure: Any) -> list[Any]:
    return [axes for axes in figure.axes if axes.get_title()]


@pytest.fixture(scope="module")
def written(findings_of: Callable[..., Findings], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(folder, files) of an experiment's figures. Do not change."""
    folder = tmp_path_factory.mktemp("figures")
    return folder, write_figures(findings_of(), folder)


def test_each_figure_is_a_png_and_an_svg_with_text_as_text(written: Any) -> None:
    folder, files = written
    assert [file.name for file in files] == [f"{name}.{kind}" for name in NAMES for kind in ("png", "svg")]
    assert {file.name for file in folder.iterdir()} == {file.name for file in files}
    for name in NAMES:
        assert imread(folder / f"{name}.png").std() > 0.01
        svg = ElementTree.parse(folder / f"{name}.svg")
        assert any("synthetic" in (text.text or "") for text in svg.iter("{http://www.w3.org/2000/svg}text"))


def test_the_same_findings_give_the_same_files(
    findings_of: Callable[..., Findings], written: Any, tmp_path: Path
) -> None:
    first = [file.read_bytes() for file in written[1]]
    assert first == [file.read_bytes() for file in write_figures(findings_of(), tmp_path)]


def test_what_has_nothing_to_show_is_not_written_and_an_old_one_goes(
    findings_of: Callable[..., Findings], written: Any, tmp_path: Path
) -> None:
    folder = shutil.copytree(written[0], tmp_path / "figures")
    files = write_figures(findings_of(sources=1, status=lambda results: "missing"), folder)
    assert {file.stem for file in files} == {"matrix", "layers", "ratio"}
    assert {file.name for file in folder.iterdir()} == {file.name for file in files}


def test_a_figure_that_cannot_be_written_leaves_the_old_one(
    findings_of: Callable[..., Findings], written: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(written[0], tmp_path / "figures")
    before = (folder / "curves.png").read_bytes()

    def stops(self: Any, path: Path, **options: Any) -> None:
        path.write_text("half")
        raise OSError("no space left")

    monkeypatch.setattr(Figure, "savefig", stops)
    with pytest.raises(OSError, match="no space"):
        write_figures(findings_of(), folder)
    assert (folder / "curves.png").read_bytes() == before
    assert not list(folder.glob(".*"))


def test_one_panel_a_target_one_line_a_source(findings_of: Callable[..., Findings]) -> None:
    figure: Any = curves_figure(findings_of(sources=2, targets=3))
    assert [axes.get_title() for axes in panels(figure)] == [f"target: set-{number}" for number in range(3)]
    for axes in panels(figure):
        labels = [line.get_label() for line in axes.get_lines()]
        assert labels == ["winning, from set-0", "winning, from set-1", "random", "dense network"]
        looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.get_lines()}
        assert len(looks) == 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == labels


def test_the_lines_are_the_means_in_percent(findings_of: Callable[..., Findings]) -> None:
    findings = findings_of()
    line = panels(curves_figure(findings))[0].get_lines()[1]
    curve = findings.computed["curves"][
        (findings.computed["curves"]["source"] == "set-1") & (findings.computed["curves"]["target"] == "set-0")
    ]
    np.testing.assert_allclose(line.get_ydata(), 100 * curve["mean"], atol=1e-3)
    np.testing.assert_allclose(line.get_xdata(), 100 * curve["survivors"] / curve["total"], rtol=1e-4)


def test_the_axis_shows_999_permille_pruned(findings_of: Callable[..., Findings]) -> None:
    axes = panels(curves_figure(findings_of(rounds=LONG)))[0]
    left, right = axes.get_xlim()
    assert left > 100 > 0.124 > right > 0.05
    assert axes.get_xscale() == "log"
    assert {"100", "10", "1", "0.1"} <= {text.get_text() for text in axes.get_xticklabels()}
    assert "99.9" in {text.get_text() for text in axes.child_axes[0].get_xticklabels()}


def test_the_title_says_how_many_seeds_and_how_many_diverged(findings_of: Callable[..., Findings]) -> None:
    def status(results: pd.DataFrame) -> list[str]:
        return [{20: "missing", 21: "diverged"}.get(number, "ok") for number in range(len(results))]

    assert "n = 5 to 6, 1 diverged run among them" in drawn(curves_figure(findings_of(status=status))).get_suptitle()


def test_of_many_lines_the_targets_own_the_controls_and_dense_stand_out(findings_of: Callable[..., Findings]) -> None:
    figure: Any = curves_figure(findings_of(sources=12, targets=2))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert set(labels) == {"11 other lines", "winning, from set-0", "winning, from set-1", "random", "dense network"}


def test_cells_of_the_matrix_are_the_differences_at_the_chosen_level(findings_of: Callable[..., Findings]) -> None:
    findings = findings_of()
    shown = {text.get_text().rstrip("*≡") for axes in panels_of_matrix(findings) for text in axes.texts}
    rows = findings.computed["comparisons"][
        findings.computed["comparisons"]["left"] == findings.computed["comparisons"]["left"].min()
    ]
    assert {f"{100 * value:+.2f}" for value in rows["difference"]} <= shown


def panels_of_matrix(findings: Findings) -> list[Any]:
    return [axes for axes in drawn(MATRICES.stills["matrix"](findings)).axes if axes.get_title(loc="left")]


def test_a_cell_without_a_test_is_hatched(findings_of: Callable[..., Findings]) -> None:
    axes = panels_of_matrix(findings_of(seeds=2))[0]
    assert {patch.get_hatch() for patch in axes.patches} == {"////"}
    assert {patch.get_hatch() for patch in panels_of_matrix(findings_of())[0].patches} == {None}


def test_layers_have_a_line_a_round_from_light_to_dark(findings_of: Callable[..., Findings]) -> None:
    axes = panels(layers_figure(findings_of()))[0]
    lines = axes.get_lines()
    assert len(lines) == 8
    brightness = [sum(int(line.get_color()[at : at + 2], 16) for at in (1, 3, 5)) for line in lines]
    assert brightness == sorted(brightness, reverse=True)


def test_learning_curves_and_overlap_stand_beside_dense_and_chance(findings_of: Callable[..., Findings]) -> None:
    findings = findings_of()
    assert panels(learning_figure(findings))[0].get_lines()[-1].get_label() == "dense network"
    labels = [line.get_label() for line in panels(overlap_figure(findings))[0].get_lines()]
    assert labels == ["set-0 and set-1", "chance, over all layers", "chance, within layers"]
