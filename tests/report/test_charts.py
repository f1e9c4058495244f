"""What charts and the page's words say of grids that are not the usual one."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pipeline.experiment.spec_analysis import MovingAverage
from pipeline.experiment.spec_tickets import TicketKind
from pipeline.report.analysis.comparisons import COMPARISONS, reach
from pipeline.report.analysis.over_seeds import CURVES
from pipeline.report.charts.curves import pruning_curves
from pipeline.report.findings import Findings
from pipeline.report.page.rendering import render
from pipeline.report.rows import rows_of
from pipeline.report.sections.convergence import convergence_charts, convergence_figure
from pipeline.report.sections.how_far import how_far
from pipeline.report.sections.learning import learning_figure, learning_level
from pipeline.report.sections.matrices import matrices
from pipeline.report.sections.overlap import between_rounds, overlap_charts, overlap_figure


def drawn(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


def text_of(findings: Findings) -> str:
    return re.sub(r"<script.*?</script>|<style.*?</style>", "", render(findings), flags=re.DOTALL)


def with_spec(findings: Findings, **fields: Any) -> Any:
    """The same findings of a grid with other fields; tables that depend on them made anew."""
    kept = {
        name: value for name, value in findings.computed.items() if name not in ("comparisons", "level", "convergence")
    }
    return replace(findings, spec=findings.spec.model_copy(update=fields), computed=kept)


def with_results(findings: Findings, keep: Any) -> Any:
    """The findings of those results only."""
    kept = {name: value for name, value in findings.computed.items() if name not in ("curves", "comparisons", "level")}
    return replace(findings, results=findings.results[keep].reset_index(drop=True), computed=kept)


def caveat_of(findings: Findings, **fields: Any) -> str:
    """What stands between the pairing and Holm's correction under the matrix of transfers."""
    compared = matrices(with_spec(findings, **fields))
    assert compared is not None
    tables = compared.tables
    sentence = next(table.sentence for table in tables if table.comparison == "transfer")
    return sentence.split("paired by seed.")[1].split(" Holm's correction")[0].strip()


OWN = "The ticket of the target's own source"
KEEPS = "keeps its output layer (diagonal: share), while the transferred one has it redrawn"
REDRAWS = "has its output layer redrawn (diagonal: retrain), while the transferred one keeps it"


def test_a_redrawn_output_layer_is_told_where_data_sets_differ(findings_of: Callable[..., Findings]) -> None:
    assert caveat_of(findings_of()).startswith(f"{OWN} {KEEPS}: part of")
    assert caveat_of(findings_of(), head="redraw").startswith(f"{OWN} {KEEPS}")
    assert caveat_of(findings_of(), diagonal="retrain") == ""


def test_nothing_is_told_where_every_ticket_keeps_its_output_layer_or_none_does(
    findings_of: Callable[..., Findings],
) -> None:
    findings = findings_of()
    assert caveat_of(findings, head="keep") == ""
    for head in ("keep", "redraw"):
        tickets = (TicketKind(name="winning", head=head), findings.spec.tickets[1])
        assert caveat_of(findings, tickets=tickets) == ""


def test_optimizers_on_one_data_set_keep_the_output_layer(findings_of: Callable[..., Findings]) -> None:
    findings = findings_of(optimizers=True)
    data = findings.spec.sources[0].dataset
    sides = {
        name: tuple(side.model_copy(update={"dataset": data}) for side in getattr(findings.spec, name))
        for name in ("sources", "targets")
    }
    assert caveat_of(findings, **sides) == ""
    assert caveat_of(findings, **sides, diagonal="retrain").startswith(f"{OWN} {REDRAWS}")
    assert caveat_of(findings, **sides, head="redraw").startswith(f"{OWN} {KEEPS}")


def test_of_transfers_between_optimizers_and_data_sets_only_the_latter_are_named(
    findings_of: Callable[..., Findings],
) -> None:
    findings = findings_of(sources=3, targets=3, optimizers=True)
    first, second, third = findings.spec.sources
    data = {"dataset": first.dataset}
    sources = first, second.model_copy(update=data), third
    targets = tuple(
        target.model_copy(update={"dataset": source.dataset})
        for target, source in zip(findings.spec.targets, sources, strict=True)
    )
    between = caveat_of(findings, sources=sources, targets=targets)
    assert between.startswith(f"For transfers between data sets {OWN.lower()} {KEEPS}")
    within = caveat_of(findings, sources=sources, targets=targets, diagonal="retrain")
    assert within.startswith(f"Within one data set {OWN.lower()} {REDRAWS}")


def resized(findings: Findings, source: str, factor: float) -> Any:
    """The overlap table of a grid in which masks of `source` have a factor of the weights."""
    table = findings.computed["overlap"].copy()
    for side, column in (("source", "survivors"), ("other_source", "other_survivors")):
        of = (table[side] == source) & (table["kind"] == "sources")
        table.loc[of, column] = (table.loc[of, column] * factor ** table.loc[of, "round"]).round().astype("int64")
    table["chance"] = table[["survivors", "other_survivors"]].max(axis=1) / table["total"]
    return replace(findings, computed=findings.computed | {"overlap": table})


def test_masks_of_equal_sizes_share_one_line_of_chance(findings_of: Callable[..., Findings]) -> None:
    (chart,) = overlap_charts(findings_of(sources=3))
    assert [one.name for one in chart.series if one.role == "chance"] == [
        "chance, over all layers",
        "chance, within layers",
    ]
    assert chart.x.title == "weights remaining (%)"


def test_pairs_of_other_sizes_have_a_chance_of_their_own_at_their_own_level(
    findings_of: Callable[..., Findings],
) -> None:
    findings = resized(findings_of(sources=3), "set-1", 0.7)
    (chart,) = overlap_charts(findings)
    chances = [one for one in chart.series if one.role == "chance" and "over all" in one.name]
    # set-0 and set-2 are of one size; both others are of another
    assert {one.name for one in chances} == {
        "chance, over all layers: set-0 and set-2",
        "chance, over all layers: set-0 and set-1 and 1 more",
    }
    lines = {one.name: one for one in chart.series if one.role == "line"}
    rows = findings.computed["overlap"][findings.computed["overlap"]["kind"] == "sources"].groupby(
        ["source", "other_source", "round"]
    )
    means = rows[["survivors", "other_survivors", "total", "chance"]].mean().reset_index()
    for chance in chances:
        pair = chance.name.split(": ")[1].split(" and 1 more")[0]
        assert list(chance.x) == list(lines[pair].x)
        of_pair = means[means["source"] + " and " + means["other_source"] == pair]
        smaller = of_pair[["survivors", "other_survivors"]].min(axis=1) / of_pair["total"]
        assert list(chance.x) == pytest.approx(list(100 * smaller), rel=1e-4)
        assert list(chance.y) == pytest.approx(list(100 * of_pair["chance"]), abs=1e-3)
        assert chance.line is lines[pair].line
    assert chart.x.title == "weights remaining in the smaller mask (%)"
    inks = {line.get_label(): line.get_color() for line in drawn(overlap_figure(findings)).axes[0].get_lines()}
    assert inks["chance, over all layers: set-0 and set-2"] == inks["set-0 and set-2"]


def test_nested_masks_are_explained_by_the_method_of_the_grid(findings_of: Callable[..., Findings]) -> None:
    def of_methods(*methods: Any) -> Any:
        findings = findings_of()
        sources = tuple(
            source.model_copy(update={"prune": source.prune.model_copy(update={"method": method})})
            for source, method in zip(findings.spec.sources, methods, strict=True)
        )
        return between_rounds(with_spec(findings, sources=sources))

    assert of_methods("iterative", "iterative").endswith("(100 % in common), as iterative pruning has it.")
    assert of_methods("one-shot", "one-shot").endswith("(100 % in common), as one-shot pruning has it.")
    assert of_methods("iterative", "one-shot").endswith("(100 % in common).")


def test_a_text_alternative_gives_each_line_its_own_level(findings_of: Callable[..., Findings]) -> None:
    findings = findings_of()
    results = findings.results
    shorter = with_results(findings, (results["source"] != "set-1") | (results["round"] <= 4))
    points = shorter.of(CURVES)
    curve = points[(points["target"] == "set-0") & (points["round"].isin([4, 20]))]
    for source, number, left in (("set-0", 20, "1.15"), ("set-1", 4, "41")):
        (row,) = rows_of(curve[(curve["source"] == source) & (curve["round"] == number)])
        said = f"winning, from {source} {100 * row.mean:.4g} % with {left} % remaining"
        assert said in pruning_curves(shorter)[0].alternative
    convergence = convergence_charts(shorter)[0].alternative
    assert re.search(r"winning, from set-1 \d+ iterations with 41 % remaining", convergence)
    assert "set-0 and set-1 10.7" in overlap_charts(findings)[0].alternative


@pytest.fixture
def alone(findings_of: Callable[..., Findings]) -> Any:
    """Winning tickets of one source on one target, and no dense network: nothing to compare."""
    findings = findings_of(sources=1, targets=1)
    only = with_spec(findings, tickets=findings.spec.tickets[:1], dense=False)
    return with_results(only, only.results["ticket"] == "winning")


def test_a_grid_that_compares_nothing_says_so_and_shows_its_last_round(alone: Any) -> None:
    assert alone.of(COMPARISONS).empty
    text = text_of(alone)
    assert "The grid has no winning ticket beside a control" in text
    assert "Nothing can be said yet" not in text and "No records of trainings" not in text
    assert "while training, ±1 standard deviation, with 1.15 % of the\nweights." in text
    assert learning_level(alone) == 0.0115
    assert "1.15 % of the weights" in drawn(learning_figure(alone)).get_suptitle()


def test_the_last_round_is_the_last_one_with_a_result(alone: Any) -> None:
    results = alone.results
    accuracy = results["test_accuracy"].mask(results["round"] > 4)
    assert learning_level(replace(alone, results=results.assign(test_accuracy=accuracy))) == 0.41
    assert learning_level(replace(alone, results=results.assign(test_accuracy=np.nan))) is None


def test_how_far_reaches_as_far_as_the_comparisons_say(findings_of: Callable[..., Findings]) -> None:
    findings = findings_of(sources=3, targets=2)
    (table,) = how_far(findings)
    expected = reach(findings.computed["comparisons"][findings.computed["comparisons"]["comparison"] == "dense"])
    shown = {(source, table.targets[at]): cell for source, cells in table.rows for at, cell in enumerate(cells)}
    assert len(shown) == len(expected) == 6
    for row in rows_of(expected):
        cell = shown[row.source, row.target]
        assert cell is not None and cell.left == (row.left if row.left == row.left else None)
        assert re.match(r"at [\d.]+ % not shown: [+-]\d+\.\d\d points, p ", cell.why)


def test_how_far_says_that_all_levels_hold_that_none_does_or_that_there_is_no_test(
    findings_of: Callable[..., Findings],
) -> None:
    findings = findings_of()
    dense = findings.computed["comparisons"]["comparison"] == "dense"

    def cell(p: Any) -> Any:
        compared = findings.computed["comparisons"].assign(
            p_noninferior=findings.computed["comparisons"]["p_noninferior"].mask(dense, p)
        )
        (table,) = how_far(replace(findings, computed=findings.computed | {"comparisons": compared}))
        return table.rows[0][1][0]

    assert (cell(0.001).left, cell(0.001).why) == (0.0115, "every level that was evaluated holds")
    assert (cell(0.5).text, cell(0.5).left) == ("none", None)
    assert (cell(np.nan).text, cell(np.nan).why[:20]) == ("no test", "at 80 % not tested: ")


def test_a_diverged_run_has_a_ring_among_the_moments_of_convergence(findings_of: Callable[..., Findings]) -> None:
    def status(results: pd.DataFrame) -> list[str]:
        here = (results["source"] == "set-0") & (results["round"] == 8) & (results["seed"] == 2)
        return ["diverged" if found else "ok" for found in here & (results["target"] == "set-1")]

    first, _, second, accuracy = convergence_charts(findings_of(status=status))
    assert [list(one.marked) for one in first.series] == [[], [], [], []]
    for chart in (second, accuracy):
        assert [list(one.marked) for one in chart.series] == [[4], [], [], []]
        assert [column[4] for column in chart.series[0].more] == [8, 5, 1, 1]


def test_a_rule_that_cannot_judge_says_why(findings_of: Callable[..., Findings]) -> None:
    findings = findings_of()
    analysis = findings.spec.analysis.model_copy(update={"convergence": MovingAverage()})
    text = text_of(with_spec(findings, analysis=analysis))
    assert "Convergence cannot be judged by this rule: the training is shorter than window and patience" in text
    assert "No training has converged" not in text
    some = (
        findings.computed["convergence"]["converged"].astype("boolean").mask(findings.computed["convergence"].index < 7)
    )
    partly = replace(
        findings, computed=findings.computed | {"convergence": findings.computed["convergence"].assign(converged=some)}
    )
    assert f"Convergence of 7 of {len(some)} trainings cannot be judged by this rule" in text_of(partly)
    assert "cannot be judged" not in text_of(findings)


SIZES = """
name: sizes
model: {name: lenet, hidden: [8], initialization: {name: truncated-normal, std: 0.1}}
seeds: [0, 1]
training: {batch_size: 64, length: 4ep}
prune: {rate: 0.5, rounds: 3}
sources: [{name: net, dataset: digits, grid: {MODELS}}]
targets: same
tickets: [winning]
"""


@pytest.mark.parametrize(
    ("models", "kind", "least"),
    [
        ("model.hidden: [[8], [16]]", "weights", [64, 128]),
        ("model.initialization.std: [0.1, 0.2]", "left", 12.5),
    ],
)
def test_targets_that_differ_in_their_model_alone_have_a_panel_together(
    findings_from: Callable[..., Findings], models: Any, kind: str, least: Any
) -> None:
    """Frankle & Carbin 2018, Figures 11 to 14: sizes against the number of weights, the rest against their share."""
    findings = findings_from(SIZES.replace("MODELS", models), lambda point: 0.9)
    moments = {"iteration": 30.0, "epoch": 3.0, "accuracy": 0.9}
    all_converged = findings.computed["convergence"].assign(**moments, converged=True).astype({"converged": "boolean"})
    findings = replace(findings, computed=findings.computed | {"convergence": all_converged})
    charts = {chart.id: chart for chart in convergence_charts(findings)}
    together = charts["convergence-together-0"]
    assert together.x.kind == kind and len(together.series) == 2
    assert {one.name for one in together.series} == {f"winning, from {source.name}" for source in findings.spec.sources}
    assert [one.x[-1] for one in together.series] == (least if kind == "weights" else [least] * 2)
    assert charts["converged-together-0"].y.unit == "%"
    assert "convergence-together-0" in render(findings)
    assert convergence_figure(findings) is not None


def test_targets_of_different_data_or_training_have_no_panel_together(
    findings_of: Callable[..., Findings], findings_from: Callable[..., Findings]
) -> None:
    assert not [chart for chart in convergence_charts(findings_of()) if "together" in chart.id]
    rates = findings_from(SIZES.replace("MODELS", "training.batch_size: [64, 32]"), lambda point: 0.9)
    moments = {"iteration": 30.0, "epoch": 3.0, "accuracy": 0.9}
    rates = replace(
        rates,
        computed=rates.computed | {"convergence": rates.computed["convergence"].assign(**moments, converged=True)},
    )
    charts = convergence_charts(rates)
    assert charts and not [chart for chart in charts if "together" in chart.id]
