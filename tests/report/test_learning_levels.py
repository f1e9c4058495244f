"""Learning curves at the levels that a grid asks for."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.report.analysis.convergence import convergence_curves
from pipeline.report.analysis.levels import is_far, nearest_levels
from pipeline.report.findings import Findings
from pipeline.report.page.rendering import render
from pipeline.report.sections.learning import learning_figure, learning_panels

ASKED = (1.0, 0.5, 0.07)
"""Rounds 0 (the dense network), 4 (41.0 %, 18 % away) and 12 (6.87 %)."""


@pytest.fixture(scope="module")
def findings(findings_of: Callable[..., Findings]) -> Any:
    plain = findings_of()
    analysis = plain.spec.analysis.model_copy(update={"levels": ASKED})
    return replace(plain, spec=plain.spec.model_copy(update={"analysis": analysis}))


@pytest.fixture(scope="module")
def panels(findings: Findings) -> Any:
    return learning_panels(findings, ASKED)


def test_the_nearest_level_is_so_relative_to_the_one_asked_for() -> None:
    assert nearest_levels([0.5, 0.1, 0.01], [1.0, 0.64, 0.41, 0.11, 0.05]) == {0.5: 0.41, 0.1: 0.11, 0.01: 0.05}
    assert nearest_levels([0.75], [0.5, 1.0]) == {0.75: 1.0}
    assert nearest_levels([0.5], []) == {}
    assert is_far(0.1, 0.111) and is_far(0.1, 0.089) and not is_far(0.1, 0.109)


def test_each_target_and_source_has_a_row_with_a_panel_a_ticket(panels: Any) -> None:
    titles = [[chart.title for chart in row] for row in panels.rows]
    pairs = [(target, source) for target in ("set-0", "set-1") for source in ("set-0", "set-1")]
    assert titles == [[f"{target}: winning, from {source}", f"{target}: random"] for target, source in pairs]
    assert len({chart.id for row in panels.rows for chart in row}) == 8


def test_a_panel_has_a_line_a_level_and_the_dense_network(panels: Any, findings: Findings) -> None:
    for chart in panels.rows[1]:
        assert [one.name for one in chart.series] == [
            "41 % of the weights",
            "6.87 % of the weights",
            "dense network",
        ]
        assert [one.role for one in chart.series] == ["step", "step", "reference"]
        places = [one.place for one in chart.series[:2]]
        assert places == sorted(places) and places[0] < places[1]
    results = findings.results
    here = results[(results["source"] == "set-1") & (results["target"] == "set-0") & (results["round"] == 12)]
    records = findings.computed["histories"][findings.computed["histories"]["stage"].isin(here["stage"])]
    means = 100 * records.groupby("iteration")["test_accuracy"].mean()
    line = panels.rows[1][0].series[1]
    assert list(line.x) == list(means.index)
    assert list(line.y) == pytest.approx(list(means), abs=1e-3)


def test_a_level_more_than_a_tenth_away_is_named(panels: Any) -> None:
    assert panels.remarks == ["There is no round with 50 % of the weights: 41 % is the nearest."]


def test_two_wishes_for_one_round_are_one_line(findings: Findings) -> None:
    (row, *_) = learning_panels(findings, (0.42, 0.4)).rows
    assert [one.name for one in row[0].series] == ["41 % of the weights", "dense network"]


def test_without_a_dense_network_round_0_is_a_level_of_the_chain(findings: Findings) -> None:
    without = replace(findings, results=findings.results[findings.results["ticket"] != "dense"])
    (row, *_) = learning_panels(without, ASKED).rows
    assert row[0].series[0].name == "100 % of the weights"
    assert len(row[0].series) == 3


def test_the_moment_of_convergence_is_marked_on_each_line(panels: Any, findings: Findings) -> None:
    curves = convergence_curves(findings.results, findings.computed["convergence"])
    at = curves[(curves["target"] == "set-1") & (curves["source"] == "set-0") & (curves["round"] == 4)].iloc[0]
    moment = panels.rows[2][0].series[0].moment
    assert (moment.x, moment.y) == pytest.approx((at["mean"], 100 * at["mean_accuracy"]), rel=1e-4)
    assert "seeds that converged: 6" in moment.words and "that did not: 0" in moment.words


def test_a_line_of_which_no_seed_converged_has_no_dot_and_of_some_the_hover_counts(findings: Findings) -> None:
    results = findings.results
    of = (results["target"] == "set-0") & (results["source"] == "set-0") & (results["round"] == 4)
    for seeds, dots in ((range(6), False), (range(2), True)):
        stages = results.loc[of & results["seed"].isin(seeds), "stage"]
        missed = findings.computed["convergence"]["stage"].isin(stages)
        table = findings.computed["convergence"].copy()
        table.loc[missed, "converged"] = False
        table.loc[missed, ["iteration", "epoch", "accuracy"]] = float("nan")
        chart = learning_panels(replace(findings, computed=findings.computed | {"convergence": table}), ASKED).rows[0][
            0
        ]
        moment = chart.series[0].moment
        assert (moment is not None) == dots
        assert ("1 of 3 lines have not converged" in chart.alternative) != dots
    assert moment is not None and moment.words[-2:] == ["seeds that converged: 4", "that did not: 2"]


def test_all_panels_of_a_target_have_one_narrow_range_in_which_lines_end(panels: Any) -> None:
    for rows in (panels.rows[:2], panels.rows[2:]):
        (zoom,) = {chart.zoom for row in rows for chart in row}
        assert all(chart.narrow for row in rows for chart in row)
        lines = [one for row in rows for chart in row for one in chart.series]
        assert all(zoom[0] <= one.y[-1] <= zoom[1] for one in lines)
        assert zoom[0] > max(one.y[0] for one in lines)


def test_controls_that_end_far_below_are_named_and_not_shown(findings: Findings) -> None:
    results = findings.results
    collapsed = results.loc[(results["ticket"] == "random") & (results["round"] == 12), "stage"]
    histories = findings.computed["histories"].copy()
    histories.loc[histories["stage"].isin(collapsed), "test_accuracy"] = 0.1
    found = learning_panels(replace(findings, computed=findings.computed | {"histories": histories}), ASKED)
    zoom = found.rows[0][1].zoom
    assert zoom is not None and zoom[0] > 50
    assert found.remarks[-1].startswith("Below the range of y: 6.87 % of the weights (set-0: random), ")


def test_the_still_has_a_row_a_pair_and_says_what_dots_are(findings: Findings) -> None:
    figure: Any = learning_figure(findings)
    drawn = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_subplotspec().colspan.start for axes in drawn] == [0, 1] * 4
    assert len({axes.get_ylim() for axes in drawn[:4]}) == 1
    assert "dots: convergence" in figure.get_suptitle() and "41 % is the nearest" in figure.get_suptitle()


def test_without_levels_the_page_has_one_panel_a_target(
    findings_of: Callable[..., Findings], findings: Findings
) -> None:
    assert "learning-0-0" not in render(findings_of()) and 'id="learning-1"' in render(findings_of())
    assert 'id="learning-0-0"' in render(findings) and 'id="learning-1"' not in render(findings)


def test_the_page_draws_dots_with_their_words_in_a_narrow_range(opened: Any, findings: Findings) -> None:
    one = opened(findings)
    # bands and lines of three series, and three dots
    assert one.traces("learning-0-0") == 9
    layout = one.page.evaluate("document.getElementById('learning-0-0')._fullLayout.yaxis.range")
    zoom = learning_panels(findings, ASKED).rows[0][0].zoom
    assert layout == pytest.approx(zoom, rel=1e-4)
    texts = one.page.evaluate("document.getElementById('learning-0-0').data.slice(-3).map((trace) => trace.text[0])")
    assert texts[0].startswith("<b>41 % of the weights</b><br>converged at iteration ")
    assert "that did not: 0" in texts[0]
    wrong = "(id) => { const f = figureOf(described(id), 500); return Plotly.validate(f.data, f.layout) ?? []; }"
    assert one.page.evaluate(wrong, "learning-0-0") == []
