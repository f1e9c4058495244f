"""Layerwise sensitivity: which sources belong together, their panels, and the layers that cost the most."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.experiment.loading import load
from pipeline.experiment.spec import Spec
from pipeline.report.findings import Findings
from pipeline.report.page.rendering import render
from pipeline.report.report_files import tables
from pipeline.report.sections.sensitivity import TYPES, families, sensitivity_charts, sensitivity_figure
from pipeline.report.stills.figures import write_figures

GRID = """
name: sensitive
model: {model}
seeds: [0, 1, 2]
training: {{optimizer: {{name: sgd, lr: 0.1}}, batch_size: 64, length: 2ep}}
prune: {{method: one-shot, fractions: [0.5, 0.9], rewind: none, evaluate: [0, 1, 2], prune_output: true}}
sources: {sources}
targets: [{{name: as-is, dataset: digits, training: {{length: 0it}}}}]
tickets: [{{name: pruned, start: trained}}{tickets}]
"""
LAYERS = "[{dataset: digits, grid: {prune.only: [head, conv1, [conv2, conv3]]}}]"


def grid(sources: str = LAYERS, model: str = "convnet-4", tickets: str = "") -> str:
    return GRID.format(sources=sources, model=model, tickets=tickets)


def accuracy(point: Any) -> float:
    """conv1 costs the most, the head the least."""
    cost = {"digits-only=conv1": 0.6, "digits-only=_conv2_conv3": 0.3, "digits-only=head": 0.1}
    return float(0.9 - cost.get(point.source, 0) * point.fraction_pruned)


@pytest.fixture(scope="module")
def findings(findings_from: Callable[..., Findings]) -> Any:
    return findings_from(grid(), accuracy, 0.0001)


def spec_of(text: str, tmp_path: Path) -> Spec:
    file = tmp_path / "grid.yaml"
    file.write_text(text)
    return load(file)


def test_a_target_has_a_panel_with_a_line_a_layer_in_the_models_order(findings: Findings) -> None:
    (chart,) = sensitivity_charts(findings)
    assert chart.title == "target: as-is"
    assert [one.name for one in chart.series] == ["conv1", "conv2, conv3", "head", "dense network"]
    assert [one.role for one in chart.series] == ["line"] * 3 + ["level"]
    assert len({one.line.colour for one in chart.series[:3] if one.line}) == 3
    # of 108, 1,440 and 160 weights
    assert [list(one.x) for one in chart.series[:3]] == [[100, 50, 10.185], [100, 50, 10], [100, 50, 10]]
    assert list(chart.series[0].y) == pytest.approx([90, 60, 36.1], abs=0.1)
    assert chart.series[3].y == pytest.approx([90, 90], abs=0.1) and chart.series[3].x == [100, 10]
    assert all(half is not None and half < 0.1 for one in chart.series for half in one.spread or ())
    assert "against weights remaining in the layer, 3 layers pruned alone" in chart.alternative


def test_the_layer_that_costs_the_most_comes_first(findings: Findings) -> None:
    table = findings.computed["sensitivity"]
    assert list(table.columns) == list(TYPES) and "sensitivity" in {table.name for table in tables()}
    assert table["layer"].tolist() == ["conv1", "conv2, conv3", "head"]
    assert table["weights"].tolist() == [108, 1440, 160] and table["levels"].tolist() == [2, 2, 2]
    assert table["difference"].tolist() == pytest.approx([-0.42, -0.21, -0.07], abs=0.001)
    assert table["lowest"].tolist() == pytest.approx([-0.539, -0.27, -0.09], abs=0.001)
    assert table["lowest_left"].tolist() == pytest.approx([11 / 108, 0.1, 0.1])


def test_many_layers_are_an_ordered_family(findings_from: Callable[..., Findings]) -> None:
    hidden = "-".join(["8"] * 10)
    layers = ", ".join(f"fc{number}" for number in range(1, 11))
    sources = f"[{{dataset: digits, grid: {{prune.only: [{layers}]}}}}]"
    (chart,) = sensitivity_charts(findings_from(grid(sources, f"lenet-{hidden}"), lambda point: 0.5))
    assert [one.role for one in chart.series] == ["step"] * 10 + ["level"]
    assert all(one.spread is None for one in chart.series[:10]) and chart.series[10].spread is not None
    assert [one.place for one in chart.series[:10]] == pytest.approx([number / 9 for number in range(10)])


def test_sources_that_differ_in_more_are_not_of_one_family(tmp_path: Path) -> None:
    """A panel each. All layers together are one of the lines, the last."""
    sources = (
        "[{dataset: digits, grid: {prune.only: [conv2, null, conv1], training.optimizer.lr: [0.1, 0.2]}},"
        " {name: alone, dataset: {name: digits, half: a}, prune: {only: conv1}}]"
    )
    found = families(spec_of(grid(sources), tmp_path))
    assert [family.name for family in found] == ["digits-only=*-lr=0.1", "digits-only=*-lr=0.2"]
    assert [list(family.layers.values()) for family in found] == [["conv1", "conv2", "all layers"]] * 2
    assert families(spec_of(grid("[{name: a, dataset: digits, prune: {only: conv1}}]"), tmp_path)) == []


def test_tickets_and_families_have_panels_of_their_own(findings_from: Callable[..., Findings]) -> None:
    sources = "[{dataset: digits, grid: {training.length: [1ep, 2ep], prune.only: [conv2, conv1]}}]"
    more = findings_from(grid(sources, tickets=", {name: shuffled, mask: permuted-within-layers}"), lambda point: 0.5)
    assert [chart.title for chart in sensitivity_charts(more)] == [
        f"target: as-is, digits-length={length}-only=conv*, {ticket}"
        for length in ("1ep", "2ep")
        for ticket in ("pruned", "shuffled")
    ]


def test_a_grid_without_such_sources_has_no_figure_and_no_section(
    findings_of: Callable[..., Findings], findings: Findings, tmp_path: Path
) -> None:
    plain = findings_of()
    assert sensitivity_charts(plain) == [] and sensitivity_figure(plain) is None and plain.computed["sensitivity"].empty
    assert 'id="sensitivity"' not in render(plain)
    names = {file.name for file in write_figures(findings, tmp_path)}
    assert {"sensitivity.png", "sensitivity.svg"} <= names


def test_the_page_has_the_panel_and_the_table(findings: Findings, opened: Any) -> None:
    one = opened(findings)
    assert one.traces("sensitivity-0") == 2 * 4  # with bands
    cells = (
        "[...document.querySelectorAll('#sensitivity tbody tr')].map((row) => [...row.cells].map((c) => c.innerText))"
    )
    first = findings.computed["sensitivity"].iloc[0]
    difference, lowest = (f"{100 * first[name]:+.2f}" for name in ("difference", "lowest"))
    assert one.page.evaluate(cells)[0] == ["as-is", "pruned", "conv1", "108", difference, "2", lowest, "10.2 %"]
