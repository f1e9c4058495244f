"""Tickets beside the dense network: paired t-tests, the dense runs of a row, and a paper's rows beside ours."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich import box
from rich.console import Console, Group
from scipy.stats import ttest_rel

from pipeline.experiment.datasets import Split
from pipeline.experiment.errors import UserError
from pipeline.experiment.loading import load
from pipeline.experiment.spec import Spec
from pipeline.report.analysis.comparisons import comparisons
from pipeline.report.analysis.convergence import convergence_curves
from pipeline.report.analysis.over_seeds import curves
from pipeline.report.analysis.paired import unit_of
from pipeline.report.findings import Findings
from pipeline.report.page.rendering import render
from pipeline.report.sections.beside_dense import SECTION, about_beside_dense, beside_dense, beside_dense_rows
from pipeline.report.sections.section import Screen

GRID = """
name: splits
model: lenet-8
seeds: 3
training: {batch_size: 64, length: 2ep}
prune: {method: one-shot, fractions: [0.5, 0.9], scope: layerwise}
sources: [{name: set-1, dataset: {name: digits, split: {part: 0}}}]
targets: [{name: set-2, dataset: {name: digits, split: {part: 1}}}]
tickets: [{name: redrawn, weights: redrawn, draws: 2}, winning]
analysis:
  published:
    of: A paper, Table II
    tests:
      - {ticket: winning, round: 1, mean: 0.797, std: 0.0488, dense_mean: 0.796, dense_std: 0.0479, t: 0.942, \
        p: 0.371, n: 10}
      - {ticket: winning, round: 2, target: set-3, mean: 0.7, std: 0.1, dense_mean: 0.8, dense_std: 0.1, t: -4.98, \
        p: 0.000758, n: 10}
"""
POINT = ["source", "target", "ticket", "round"]


@pytest.fixture(scope="module")
def made(findings_from: Callable[..., Findings]) -> Any:
    """Every accuracy is 0.9 and every difference 0. Do not change."""
    return findings_from(GRID, lambda point: 0.9, spread=0)


@pytest.fixture
def of(made: Any) -> Callable[..., Any]:
    """`of({(ticket, round): accuracies of seeds 0, 1, 2})`: the results, 0.9 where nothing is given, and the table."""

    def table(given: Any, results: pd.DataFrame | None = None, spec: Spec | None = None) -> Any:
        changed = (made.results if results is None else results).copy()
        for (ticket, number), values in given.items():
            for seed, value in enumerate(values):
                here = (changed["ticket"] == ticket) & (changed["round"] == number) & (changed["seed"] == seed)
                changed.loc[here, "test_accuracy"] = value
        return beside_dense(changed, spec or made.spec)

    return table


def row_of(table: pd.DataFrame, ticket: str, number: int) -> Any:
    return table[(table["ticket"] == ticket) & (table["round"] == number)].iloc[0]


def test_a_row_is_the_paired_t_test_of_ticket_and_dense_network(of: Any) -> None:
    dense, ticket = [0.8, 0.7, 0.9], [0.81, 0.72, 0.93]
    row = row_of(of({("dense", 0): dense, ("winning", 1): ticket}), "winning", 1)
    assert (row["source"], row["target"], row["n"], row["unit"]) == ("set-1", "set-2", 3, "seed")
    assert row["remaining"] == pytest.approx(0.5, abs=0.01)
    assert (row["mean"], row["dense_mean"], row["difference"]) == pytest.approx((0.82, 0.8, 0.02))
    assert (row["std"], row["dense_std"]) == pytest.approx((np.std(ticket, ddof=1), 0.1))
    # differences of 1, 2 and 3 points; of two degrees of freedom, P(|T| > t) = 1 - t / sqrt(2 + t^2)
    half = 4.302652729911275 * 0.01 / math.sqrt(3)
    assert (row["low"], row["high"]) == pytest.approx((0.02 - half, 0.02 + half))
    assert row["t"] == pytest.approx(2 * math.sqrt(3))
    assert row["p"] == pytest.approx(1 - math.sqrt(12 / 14)) == ttest_rel(ticket, dense).pvalue
    assert row["effect"] == pytest.approx(2 / math.sqrt(math.pi)), "J(2) = gamma(1) / gamma(1/2)"
    assert row["remark"] == ""


def test_rows_are_the_pruned_tickets_as_the_grid_has_them(of: Any) -> None:
    table = of({})
    ours = table[table["n"].notna()]
    assert [(row.ticket, row.round) for row in ours.itertuples()] == [
        ("redrawn", 1),
        ("redrawn", 2),
        ("winning", 1),
        ("winning", 2),
    ]


def test_draws_of_a_control_are_one_value_of_their_seed(made: Any, of: Any) -> None:
    results = made.results.copy()
    drawn = (results["ticket"] == "redrawn") & (results["round"] == 1)
    results.loc[drawn, "test_accuracy"] = 0.9 + 0.1 * results["draw"] + 0.01 * results["seed"]
    row = row_of(of({}, results), "redrawn", 1)
    assert row["n"] == 3 and row["difference"] == pytest.approx(0.06)
    assert row["difference_std"] == pytest.approx(0.01)


def test_two_pairs_are_no_test(of: Any) -> None:
    row = row_of(of({("dense", 0): [0.8, np.nan, 0.9], ("winning", 1): [0.7, 0.3, 0.7]}), "winning", 1)
    assert (row["n"], row["remark"]) == (2, "n = 2: too few seeds for a test")
    assert (row["mean"], row["dense_mean"], row["difference"]) == pytest.approx((0.7, 0.85, -0.15))
    assert row[["low", "high", "t", "p", "p_holm", "effect"]].isna().all()
    assert row["tests"] == 0


def test_equal_differences_are_no_test(of: Any) -> None:
    row = row_of(of({("dense", 0): [0.8, 0.7, 0.9], ("winning", 2): [0.81, 0.71, 0.91]}), "winning", 2)
    assert row["remark"] == "every seed has the same difference: no variance to test against"
    assert row["difference"] == pytest.approx(0.01) and row["difference_std"] == 0
    assert row[["low", "high", "t", "p", "p_holm", "effect"]].isna().all()


def test_without_a_dense_network_a_row_says_so_and_keeps_the_tickets_mean(made: Any, of: Any) -> None:
    table = of({("winning", 1): [0.5, 0.6, 0.7]}, made.results[made.results["ticket"] != "dense"])
    row = row_of(table, "winning", 1)
    assert row["remark"] == "the grid trains no dense network for it"
    assert (row["n"], row["mean"]) == (0, pytest.approx(0.6)) and pd.isna(row["dense_draw"])
    assert row[["dense_mean", "difference", "t", "p"]].isna().all()


def test_what_has_no_result_yet_is_told_apart(of: Any) -> None:
    nothing = [np.nan] * 3
    assert row_of(of({("dense", 0): nothing}), "winning", 1)["remark"] == "no result of the dense network yet"
    assert row_of(of({("winning", 1): nothing}), "winning", 1)["remark"] == "no result of the ticket yet"
    apart = of({("dense", 0): [0.9, np.nan, np.nan], ("winning", 1): [np.nan, 0.9, 0.9]})
    assert row_of(apart, "winning", 1)["remark"] == "no seed has a result of both"


def repeated(results: pd.DataFrame, draws: int = 4) -> pd.DataFrame:
    """Dense draw d has an accuracy of 0.5 + d / 100 + seed / 1000; the rest is as it was."""
    dense = results[results["ticket"] == "dense"]
    drawn = [
        dense.assign(
            draw=draw, stage=dense["stage"] + f"-{draw}", test_accuracy=0.5 + draw / 100 + dense["seed"] / 1000
        )
        for draw in range(draws)
    ]
    return pd.concat([results[results["ticket"] != "dense"], *drawn], ignore_index=True)


def test_a_repeated_dense_network_belongs_to_its_ticket_and_round(made: Any, of: Any) -> None:
    table = of({}, repeated(made.results))
    told = [(row.ticket, row.round, row.dense_draw, round(row.dense_mean, 6)) for row in table.iloc[:4].itertuples()]
    assert told == [
        ("redrawn", 1, 0, 0.501),
        ("redrawn", 2, 1, 0.511),
        ("winning", 1, 2, 0.521),
        ("winning", 2, 3, 0.531),
    ]


def test_the_draw_goes_by_the_grids_order_of_tickets_where_a_control_has_no_source(
    findings_from: Callable[..., Findings],
) -> None:
    found = findings_from(GRID.replace("{name: redrawn, weights: redrawn, draws: 2}", "random"), lambda point: 0.9)
    table = beside_dense(repeated(found.results), found.spec)
    assert [(row.source, row.ticket, row.dense_draw) for row in table.iloc[:4].itertuples()] == [
        ("set-1", "winning", 2),
        ("set-1", "winning", 3),
        ("any", "random", 0),
        ("any", "random", 1),
    ]


def test_a_dense_network_that_is_not_there_is_not_replaced_by_another(made: Any, of: Any) -> None:
    row = row_of(of({}, repeated(made.results, draws=3)), "winning", 2)
    assert pd.isna(row["dense_draw"]) and row["remark"] == "the grid trains no dense network for it"


def test_elsewhere_the_draws_of_a_dense_network_are_one_value_of_their_seed(made: Any) -> None:
    results = repeated(made.results)
    dense = curves(results).query("ticket == 'dense'")
    assert len(dense) == 1 and dense.iloc[0]["n"] == 3
    assert dense.iloc[0]["mean"] == pytest.approx(0.516)
    assert (dense.iloc[0]["least"], dense.iloc[0]["greatest"]) == pytest.approx((0.5, 0.532))
    compared = comparisons(results, made.spec).query("comparison == 'dense'")
    assert len(compared) == 2 and compared["difference"].to_numpy() == pytest.approx(0.9 - 0.516)
    steps = {stage: 10.0 + number for number, stage in enumerate(results["stage"])}
    found = pd.DataFrame({"stage": list(steps), "iteration": list(steps.values()), "accuracy": 0.5})
    converged = convergence_curves(results, found.assign(epoch=1.0, converged=True).astype({"converged": "boolean"}))
    assert (converged["ticket"] == "dense").sum() == 1
    assert converged.query("ticket == 'dense'").iloc[0]["n"] == 3


def test_p_is_corrected_over_all_rows_of_a_kind_of_ticket(of: Any) -> None:
    table = of(
        {
            ("winning", 1): [0.91, 0.92, 0.93],  # t = 2 sqrt(3)
            ("winning", 2): [0.90, 0.91, 0.92],  # t = sqrt(3)
            ("redrawn", 1): [0.91, 0.92, 0.93],
            ("redrawn", 2): [0.91, 0.91, 0.91],  # no test: the family of redrawn has one
        }
    )
    small, large = 1 - math.sqrt(12 / 14), 1 - math.sqrt(3 / 5)
    assert [row_of(table, "winning", number)["p"] for number in (1, 2)] == pytest.approx([small, large])
    assert [row_of(table, "winning", number)["p_holm"] for number in (1, 2)] == pytest.approx([2 * small, large])
    assert row_of(table, "redrawn", 1)["p_holm"] == pytest.approx(small)
    assert [row_of(table, kind, 1)["tests"] for kind in ("winning", "redrawn")] == [2, 1]
    said = about_beside_dense(table, "")[0]
    assert said == (
        "p (Holm) is corrected over all tests of the table of one kind of ticket: 1 of redrawn and 2 of winning."
    )


def test_the_papers_row_stands_beside_ours(of: Any) -> None:
    table = of({("winning", 1): [0.91, 0.92, 0.93]})
    row = row_of(table, "winning", 1)
    assert (row["published_mean"], row["published_dense_mean"], row["published_t"]) == (0.797, 0.796, 0.942)
    assert (row["published_p"], row["published_n"]) == (0.371, 10)
    assert table.iloc[:4]["published_n"].notna().sum() == 1
    told = beside_dense_rows(table)[2].paper
    assert (told.mean, told.dense, told.difference) == ("79.70 ± 4.88", "79.60 ± 4.79", "+0.10")
    assert (told.t, told.p, told.n) == ("0.94", "0.37", "10")


def test_a_papers_row_that_is_of_no_point_is_told_at_the_end(of: Any) -> None:
    table = of({})
    last = table.iloc[-1]
    assert (last["ticket"], last["round"], last["target"], last["remark"]) == ("winning", 2, "set-3", "no such point")
    assert pd.isna(last["source"]) and pd.isna(last["n"]) and last["published_t"] == -4.98
    assert beside_dense_rows(table)[-1].paper.t == "4.98", "papers differ in what they subtract"


def test_rows_that_share_their_dense_runs_are_said_to(made: Any, of: Any) -> None:
    said = " ".join(about_beside_dense(of({}), ""))
    assert "Rows of a target share its dense runs, so that these rows stand and fall together" in said
    assert "A paper" not in said
    own = " ".join(about_beside_dense(of({}, repeated(made.results)), "A paper, Table II"))
    assert "Each row has dense runs of its own" in own and "stand and fall" not in own
    assert "The paper: A paper, Table II. Its t is shown without a sign" in own


def test_sources_share_the_dense_runs_of_a_ticket_and_round(findings_from: Callable[..., Findings]) -> None:
    two = "sources: [{name: set-3, dataset: {name: digits, split: {seed: 1}}}, "
    found = findings_from(GRID.replace("sources: [", two), lambda point: 0.9)
    table = beside_dense(repeated(found.results), found.spec)
    assert table.iloc[:8]["dense_draw"].to_list() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert "Sources share the dense runs of a ticket and round" in " ".join(about_beside_dense(table, ""))


def class_splits(spec: Spec) -> Any:
    """The spec with classes that are split anew for each seed."""
    each = Split.model_construct(groups=2, seed="each", part=0)
    side = spec.targets[0]
    target = side.model_copy(update={"dataset": side.dataset.model_copy(update={"split": each})})
    return spec.model_copy(update={"targets": (target,)})


def test_where_each_seed_splits_the_classes_its_own_way_the_split_is_the_unit(made: Any, of: Any) -> None:
    spec = class_splits(made.spec)
    assert (unit_of(made.spec), unit_of(spec)) == ("seed", "class split")
    table = of({("dense", 0): [0.8, np.nan, 0.9]}, spec=spec)
    assert set(table["unit"].dropna()) == {"class split"}
    assert row_of(table, "winning", 1)["remark"] == "n = 2: too few class splits for a test"


def test_the_page_shows_rows_remarks_and_notes(made: Any, of: Any) -> None:
    table = of({("winning", 1): [0.91, 0.92, 0.93]})
    said = render(replace(made, computed=made.computed | {"beside_dense": table}))
    assert "Tickets beside the dense network</h2>" in said
    assert "paired by seed, which is what n counts" in said
    assert ">+2.00<span" in said and ">-0.48 to +4.48<" in said and ">0.074<" in said
    assert "every seed has the same difference" in said and "no such point" in said
    assert "79.70 ± 4.88" in said and "stand and fall together" in said


def test_a_page_without_dense_networks_says_so(made: Any) -> None:
    spec = made.spec.model_copy(
        update={"dense": False, "analysis": made.spec.analysis.model_copy(update={"published": None})}
    )
    table = beside_dense(made.results[made.results["ticket"] != "dense"], spec)
    said = render(replace(made, spec=spec, computed=made.computed | {"beside_dense": table}))
    assert "No ticket is beside a dense network: the grid trains none (dense: false)." in said


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_has_the_papers_row_beneath_ours(made: Any, of: Any, width: int) -> None:
    table = of({("winning", 1): [0.91, 0.92, 0.93]})
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    findings = replace(made, computed=made.computed | {"beside_dense": table})
    assert SECTION.lines is not None
    console.print(Group(*SECTION.lines(findings, Screen(box.ASCII, width))))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width and not any("…" in line for line in lines)
    ours = next(number for number, line in enumerate(lines) if "+2.00" in line)
    assert "92.00 ± 1.00" in lines[ours] and "3.46" in lines[ours] and "-0.48 to +4.48" in lines[ours + 1]
    assert any("the paper" in line and "79.70 ± 4.88" in line for line in lines[ours : ours + 5])
    assert "stand and fall together" in " ".join(" ".join(lines).split())


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        (
            "round: 2, target: set-3",
            "round: 1",
            ":15: analysis.published.tests.1: a test of winning, round 1, is given",
        ),
        ("round: 2, target: set-3", "round: 0", ":15: analysis.published.tests.1.round: should be greater than 0"),
        ("p: 0.371", "p: 1.371", ":14: analysis.published.tests.0.p: should be less than or equal to 1"),
    ],
)
def test_a_papers_test_that_cannot_be_is_refused_at_its_place(
    tmp_path: Path, written: Any, instead: Any, said: Any
) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(GRID.replace(written, instead))
    with pytest.raises(UserError) as error:
        load(file)
    assert said in str(error.value)


def test_a_paper_without_numbers_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(GRID[: GRID.index("    tests:")])
    with pytest.raises(UserError, match="has no numbers of the paper"):
        load(file)
