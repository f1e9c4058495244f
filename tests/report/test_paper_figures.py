"""The stills in the form of Morcos et al. 2019, from grids like those of its figures."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from pipeline.report.charts.curves import pruning_curves
from pipeline.report.findings import Findings
from pipeline.report.sections.curves import curves_figure
from pipeline.report.sections.layers import ratio_figure
from pipeline.report.stills.insets import LABEL

COMMON = """
seeds: [0, 1, 2]
training: {optimizer: {name: sgd, lr: 0.1}, batch_size: 64, length: 2ep}
prune: {rate: 0.2, rounds: 30, evaluate: [0, 1, 2, 3, 4, 5, 6, 9, 12, 15, 18, 21, 24, 27, 30]}
"""
FIGURE_1 = (
    COMMON
    + """
name: fig1
model: {name: vgg19, width: 2}
sources: [{name: cifar10, dataset: {name: digits, resize: 16}, grid: {prune.scope: [global, layerwise]}}]
targets: [{name: cifar10, dataset: {name: digits, resize: 16}}]
tickets: [winning, random]
"""
)
FIGURE_3 = (
    COMMON
    + """
name: fig3
model: {name: convnet, width: 4}
sources:
  - {name: svhn, dataset: {name: digits, per_class: 10}}
  - {name: fashion_mnist, dataset: {name: digits, per_class: 11}}
  - {name: cifar10, dataset: {name: digits, per_class: 12}}
  - {name: cifar100, dataset: {name: digits, per_class: 13}}
  - {name: imagenet, dataset: {name: digits, per_class: 14}}
  - {name: places365, dataset: {name: digits, per_class: 15}}
targets:
  - {name: svhn, dataset: {name: digits, per_class: 10}}
  - {name: fashion_mnist, dataset: {name: digits, per_class: 11}}
  - {name: cifar10, dataset: {name: digits, per_class: 12}}
  - {name: cifar100, dataset: {name: digits, per_class: 13}}
tickets: [winning, random]
"""
)
FIGURE_5 = (
    COMMON
    + """
name: fig5
model: lenet-20-10
sources:
  - {name: sgd, dataset: digits}
  - {name: adam, dataset: digits, training: {optimizer: {name: adam, lr: 3.0e-4}}}
targets: same
tickets: [winning, random]
"""
)
FIGURE_A1 = (
    COMMON
    + """
name: figA1
model: lenet-20-10
sources: [{name: cifar10, dataset: digits}]
targets: same
tickets:
  - winning
  - {name: mask-preserved, mask: preserved, weights: redrawn}
  - {name: permuted-within-layers, mask: permuted-within-layers}
  - {name: permuted-globally, mask: permuted-globally}
"""
)


def falling(**by: Any) -> object:
    """Accuracy of a point: each ticket loses so much at the end, the later the higher the power of what is pruned."""

    def accuracy(point: Any) -> float:
        loss = by.get(point.ticket.replace("-", "_"), by["others"]) * point.fraction_pruned ** by["power"]
        return 0.925 - float(loss)

    return accuracy


LATE = falling(winning=0.02, mask_preserved=0.08, permuted_within_layers=0.12, dense=0, others=0.3, power=100)
EARLY = falling(winning=0.03, dense=0, others=0.8, power=20)
ALIKE = falling(winning=0.3, dense=0, others=0.4, power=40)


def overfitted(point: Any) -> float:
    """Figure 3b: bad while little is pruned; random tickets are bad throughout."""
    return float(0.9 - 0.03 * (1 - point.fraction_pruned) ** 2 - 0.4 * (point.ticket == "permuted-globally"))


def panels(figure: Any) -> list[Any]:
    return [axes for axes in figure.axes if axes.get_title()]


def insets(figure: Any) -> list[Any]:
    everywhere = [axes for panel in panels(figure) for axes in panel.child_axes] + list(figure.axes)
    return [axes for axes in everywhere if axes.get_label() == LABEL]


def drawn(figure: Any) -> Any:
    """The figure with its layout done, so that places can be asked for."""
    figure.canvas.draw()
    return figure


def marks(panel: Any) -> np.ndarray:
    """Points all along the lines of a panel and the edges of their bands, in pixels."""
    paths = [line.get_path().transformed(line.get_transform()) for line in panel.get_lines()]
    paths += [
        path.transformed(band.get_transform()) for band in panel.collections for path in band.get_paths() if len(path)
    ]
    return np.concatenate([path.interpolated(50).vertices for path in paths])


def test_a_panel_a_target_a_line_a_source_plus_random_with_bands_of_one_std(
    findings_from: Callable[..., Findings],
) -> None:
    findings = findings_from(FIGURE_3, EARLY)
    figure: Any = curves_figure(findings)
    names = ["svhn", "fashion_mnist", "cifar10", "cifar100"]
    assert [axes.get_title() for axes in panels(figure)] == [f"target: {name}" for name in names]
    sources = [f"winning, from {name}" for name in [*names, "imagenet", "places365"]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*sources, "random", "dense network"]
    panel = panels(figure)[0]
    assert len(panel.collections) == 8
    rows = findings.computed["curves"][
        (findings.computed["curves"]["target"] == "svhn") & (findings.computed["curves"]["source"] == "imagenet")
    ]
    band = panel.collections[4].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(100 * (rows["mean"] + rows["std"]).max(), abs=1e-3)
    assert band[:, 1].min() == pytest.approx(100 * (rows["mean"] - rows["std"]).min(), abs=1e-3)


def test_figure_5_has_a_panel_an_optimizer_and_a_line_a_source_optimizer(
    findings_from: Callable[..., Findings],
) -> None:
    figure: Any = curves_figure(findings_from(FIGURE_5, EARLY))
    assert [axes.get_title() for axes in panels(figure)] == ["target: sgd", "target: adam"]
    for panel in panels(figure):
        labels = [line.get_label() for line in panel.get_lines()]
        assert labels == ["winning, from sgd", "winning, from adam", "random", "dense network"]


def test_figure_a1_has_four_named_curves_that_look_different(findings_from: Callable[..., Findings]) -> None:
    (panel,) = panels(curves_figure(findings_from(FIGURE_A1, LATE)))
    lines = panel.get_lines()[:4]
    names = ["winning, from cifar10", "mask-preserved, from cifar10", "permuted-within-layers, from cifar10"]
    assert [line.get_label() for line in lines] == [*names, "permuted-globally"]
    for look in ("get_color", "get_marker", "get_linestyle"):
        assert len({str(getattr(line, look)()) for line in lines}) == (4 if look != "get_linestyle" else 2)


@pytest.mark.parametrize("accuracy", [LATE, EARLY, overfitted], ids=["late", "early", "overfitted"])
def test_where_the_axis_is_narrow_an_inset_shows_everything_and_covers_nothing(
    findings_from: Callable[..., Findings], accuracy: float
) -> None:
    findings = findings_from(FIGURE_A1, accuracy)
    figure = drawn(curves_figure(findings))
    (panel,), (inset,) = panels(figure), insets(figure)
    (chart,) = pruning_curves(findings)
    assert panel.get_ylim() == pytest.approx(chart.zoom)
    values = np.concatenate([line.get_ydata() for line in panel.get_lines()])
    low, high = inset.get_ylim()
    assert low <= values.min() and values.max() <= high
    assert panel.get_ylim()[1] - panel.get_ylim()[0] < 0.5 * (high - low)
    assert [line.get_color() for line in inset.get_lines()] == [line.get_color() for line in panel.get_lines()]
    place = inset.get_tightbbox()
    seen = [tuple(point) for point in marks(panel) if panel.bbox.contains(*point)]
    assert seen and not any(place.contains(*point) for point in seen)
    assert figure.bbox.contains(*place.min) and figure.bbox.contains(*place.max)
    assert "insets: whole y axes" in figure.get_suptitle()


def test_an_inset_without_an_empty_corner_stands_beside_its_panel(findings_from: Callable[..., Findings]) -> None:
    inside = drawn(curves_figure(findings_from(FIGURE_A1, LATE)))
    (panel,), (inset,) = panels(inside), insets(inside)
    assert panel.bbox.x0 < inset.bbox.x0 and inset.bbox.x1 < panel.bbox.x1
    beside = drawn(curves_figure(findings_from(FIGURE_5, EARLY)))
    assert len(insets(beside)) == 2
    for inset in insets(beside):
        assert not any(inset.get_tightbbox().overlaps(panel.get_tightbbox()) for panel in panels(beside))


def test_where_the_range_is_not_narrow_there_is_no_inset(findings_from: Callable[..., Findings]) -> None:
    figure: Any = curves_figure(findings_from(FIGURE_A1, ALIKE))
    assert insets(figure) == []
    assert "inset" not in figure.get_suptitle()
    (panel,) = panels(figure)
    low, high = panel.get_ylim()
    assert all(((line.get_ydata() > low) & (line.get_ydata() < high)).all() for line in panel.get_lines())


def test_figure_1b_is_a_figure_of_its_own_with_16_layers_that_can_be_read(
    findings_from: Callable[..., Findings],
) -> None:
    findings = findings_from(FIGURE_1, EARLY)
    figure = drawn(ratio_figure(findings))
    (panel,) = panels(figure)  # of what is pruned layerwise the ratio says nothing
    assert panel.get_title() == "source: cifar10-scope=global, ratio to layerwise pruning"
    labels = panel.get_xticklabels()
    assert [label.get_text() for label in labels][:3] == ["features.0", "features.3", "features.7"]
    assert len(labels) == 16
    boxes = [label.get_window_extent() for label in labels]
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))
    lines = panel.get_lines()
    assert len(lines) == 14
    brightness = [sum(to_rgb(line.get_color())) for line in lines]
    assert brightness == sorted(brightness, reverse=True)
    rows = findings.computed["layers"][
        (findings.computed["layers"]["source"] == "cifar10-scope=global") & (findings.computed["layers"]["round"] == 30)
    ]
    means = rows.groupby("position")["ratio"].mean()
    np.testing.assert_allclose(lines[-1].get_ydata(), means, rtol=1e-4)
