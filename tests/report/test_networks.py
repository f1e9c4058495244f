"""Networks that succeed, and a paper's numbers beside ours."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
from rich.console import Console

from pipeline.engine.driver import RunOptions, run
from pipeline.engine.store import Snapshot, Store
from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load
from pipeline.report.analysis.networks import mcnemar, networks, newcombe, paired_networks, wilson
from pipeline.report.findings import Findings
from pipeline.report.page.rendering import render
from pipeline.report.report import gather
from pipeline.report.results import results_table
from pipeline.report.sections.networks import TITLES, how_many_succeed
from pipeline.report.terminal_report import report

NETWORKS = 6
GRID = """
name: many
model: {name: perceptron, hidden: 4, networks: 6}
seeds: [0, 1]
training: {optimizer: {name: sgd, lr: 0.5}, batch_size: 4, length: 4it}
prune: {units: 2, rounds: 1, rewind: 0it}
sources: [{name: product, dataset: xor}, {name: input, dataset: xor, prune: {criterion: input-magnitude}}]
targets: [{name: xor, dataset: xor}, {name: small, dataset: xor, model: {name: perceptron, hidden: 2, networks: 6}}]
tickets: [winning]
analysis:
  zero_loss: 0.1
  published:
    of: A paper, Figure 2
    values:
      - {metric: decision_boundary, source: product, round: 1, value: 0.25, n: 1000}
      - {metric: zero_loss, ticket: dense, target: xor, value: 0.9}
      - {metric: zero_loss, target: xor, value: 0.1, n: 20}
      - {metric: zero_loss, target: elsewhere, value: 0.3}
      - {metric: test_accuracy, target: small, value: 0.7}
      - {metric: test_accuracy, ticket: lucky, value: 0.7}
      - {metric: convergence, source: product, round: 1, value: 3}
"""
RIGHT, WRONG = [0.3] * NETWORKS, [-0.1] * NETWORKS
"""Margins of networks that find the boundary and that do not."""


class WithSummaries:
    """A snapshot whose trainings say of each network what the test says."""

    def __init__(self, snapshot: Any, summaries: Any) -> None:
        self.snapshot, self.summaries = snapshot, summaries

    def __getattr__(self, name: str) -> Any:
        return getattr(self.snapshot, name)

    def record(self, key: str) -> Any:
        record = self.snapshot.record(key)
        if record is None or key not in self.summaries:
            return record
        margin, loss = self.summaries[key]
        return record | {"summary": record["summary"] | {"networks": {"test_margin": margin, "test_loss": loss}}}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, unheard: Any) -> Any:
    """(grid, store) of a small experiment that has run."""
    file = tmp_path_factory.mktemp("grid") / "grid.yaml"
    file.write_text(GRID)
    grid = expand(load(file))
    store = Store(str(tmp_path_factory.mktemp("store")))
    run(grid, RunOptions(store.uri, Path("data"), local=True), unheard)
    return grid, store


def summary(boundaries: int, losses: int) -> tuple[list[Any], list[Any]]:
    """The first networks find the boundary; the last ones reach zero loss, but for one whose loss is not finite."""
    missing = NETWORKS - losses
    return RIGHT[:boundaries] + WRONG[boundaries:], [None, *[0.5] * (missing - 1), *[0.01] * losses]


@pytest.fixture(scope="module")
def findings(ran: Any) -> Any:
    """Dense networks of xor: 4 and 2 of 6 find the boundary; tickets of product: 3 and 5; of all others, none."""
    grid, store = ran
    of_seed = {("any", 0): (4, 3), ("any", 1): (2, 1), ("product", 0): (3, 2), ("product", 1): (5, 5)}
    summaries = {
        point.stage: summary(
            *of_seed[point.source, point.seed]
            if (point.target, point.source) != ("small", "any") and point.source != "input"
            else (0, 0)
        )
        for point in grid.points
    }
    return gather(grid, store, cast(Snapshot, WithSummaries(store.snapshot(), summaries)))


def row_of(findings: Findings, metric: str, **names: Any) -> Any:
    table = findings.computed["networks"][findings.computed["networks"]["metric"] == metric]
    for name, value in names.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_a_model_of_many_networks_has_a_row_for_each_point_and_metric(ran: Any) -> None:
    grid, store = ran
    table = gather(grid, store, store.snapshot()).computed["networks"]
    points = {(point.target, point.source, point.ticket, point.round) for point in grid.points}
    assert len(table) == 3 * len(points) == 12
    assert set(table["n"]) == {2 * NETWORKS}
    for row in table[table["metric"] == "decision_boundary"].itertuples():
        stages = [p.stage for p in grid.points if (p.target, p.source, p.round) == (row.target, row.source, row.round)]
        told = [store.record(stage)["summary"]["networks"]["test_accuracy"] for stage in stages]
        assert row.count == sum(accuracy == 1 for of_seed in told for accuracy in of_seed)


def test_networks_of_all_seeds_add_up(findings: Findings) -> None:
    dense = row_of(findings, "decision_boundary", target="xor", ticket="dense")
    assert (dense["count"], dense["n"], dense["share"]) == (6, 12, 0.5)
    assert (dense["low"], dense["high"]) == pytest.approx((0.2538, 0.7462), abs=1e-4)


def test_a_ticket_comes_from_the_first_draw_of_a_dense_network(ran: Any) -> None:
    grid, store = ran
    stages = {(p.target, p.source, p.seed): p.stage for p in grid.points}
    succeed = {stages["xor", source, seed]: summary(4, 4) for source in ("any", "product") for seed in (0, 1)}
    told = WithSummaries(store.snapshot(), succeed | {stages["small", "any", seed]: summary(0, 0) for seed in (0, 1)})
    results = results_table(grid, told)
    dense = results[(results["target"] == "xor") & (results["ticket"] == "dense")]
    again = dense.assign(draw=1, stage=dense["seed"].map(lambda seed: stages["small", "any", seed]))
    table = networks(pd.concat([results, again], ignore_index=True), told, grid.spec)
    row = table[(table["target"] == "xor") & (table["source"] == "product")].iloc[0]
    assert (row["metric"], row["count"], row["both"]) == ("decision_boundary", 8, 8)


def test_a_point_within_the_tie_of_the_boundary_is_neither_right_nor_wrong(ran: Any) -> None:
    grid, store = ran
    stage = next(point.stage for point in grid.points if (point.target, point.source) == ("small", "any"))
    told = WithSummaries(store.snapshot(), {stage: ([0.2, 0.0, -0.0005, -0.002, -0.1, -1.0], [0.5] * NETWORKS)})
    for tie, right, not_wrong in ((0.0, 1, 2), (0.001, 1, 3), (0.3, 0, 5)):
        analysis = grid.spec.analysis.model_copy(update={"tie": tie})
        spec = grid.spec.model_copy(update={"analysis": analysis})
        results = results_table(grid, told)
        table = networks(results[results["stage"] == stage], told, spec)
        counts = table.set_index("metric")["count"]
        assert (counts["decision_boundary"], counts["none_wrong"]) == (right, not_wrong)


def test_zero_loss_is_below_the_limit_and_no_loss_that_is_not_finite(findings: Findings) -> None:
    assert row_of(findings, "zero_loss", target="xor", ticket="dense")["count"] == 4


def test_a_pruned_network_counts_as_both_if_the_dense_one_of_its_place_and_seed_succeeds(findings: Findings) -> None:
    """The first 3 and 5 of product's, the first 4 and 2 of the dense ones: 3 + 2 of all 12."""
    row = row_of(findings, "decision_boundary", source="product")
    assert (row["count"], row["both"], row["both_share"]) == (8, 5, 5 / 12)
    assert pd.isna(row_of(findings, "decision_boundary", target="xor", ticket="dense")["both"])


def test_hidden_units_are_those_that_are_left(findings: Findings) -> None:
    units = {(row.target, row.source): row.hidden for row in findings.computed["networks"].itertuples()}
    assert units == {("xor", "any"): 4, ("xor", "product"): 2, ("xor", "input"): 2, ("small", "any"): 2}


def test_each_targets_dense_networks_come_first(findings: Findings) -> None:
    assert list(findings.computed["networks"]["source"][::3]) == ["any", "product", "input", "any"]


def test_a_published_share_stands_beside_both_of_pruned_tickets_and_the_share_of_others(findings: Findings) -> None:
    pruned = row_of(findings, "decision_boundary", source="product")
    assert (pruned["published"], pruned["difference"]) == (0.25, pytest.approx(5 / 12 - 0.25))
    assert pruned["inside"]
    dense = row_of(findings, "zero_loss", target="xor", ticket="dense")
    assert (dense["published"], dense["difference"]) == (0.9, pytest.approx(4 / 12 - 0.9))
    assert not dense["inside"]
    assert pd.isna(dense["difference_low"]), "how many networks the paper had is not given"
    assert row_of(findings, "zero_loss", source="input")["published"] == 0.1
    assert pd.isna(row_of(findings, "decision_boundary", source="input")["published"])


def test_intervals_of_differences_are_newcombes() -> None:
    """Newcombe 1998, Table II, method 10: 56/70 - 48/80 and 9/10 - 3/10."""
    assert newcombe(wilson(56, 70), wilson(48, 80)) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert newcombe(wilson(9, 10), wilson(3, 10)) == pytest.approx((0.6, 0.1705, 0.8090), abs=1e-4)


def test_without_a_dense_network_nothing_is_said_of_both(ran: Any) -> None:
    grid, store = ran
    snapshot = store.snapshot()
    dense = next(p.stage for p in grid.points if (p.target, p.source, p.seed) == ("xor", "any", 1))

    class Lacking(WithSummaries):
        def record(self, key: str) -> Any:
            return None if key == dense else self.snapshot.record(key)

    findings = gather(grid, store, cast(Snapshot, Lacking(snapshot, {})))
    row = row_of(findings, "decision_boundary", source="product")
    assert pd.isna(row["both"]) and pd.isna(row["published"]), "the paper's share is one of both"
    assert row["n"] == 12
    assert "product" not in how_many_succeed(findings.computed["networks"])[0]


def test_draws_of_a_control_do_not_add_up(ran: Any) -> None:
    """They share their dense networks."""
    grid, store = ran
    results = results_table(grid, store.snapshot())
    twice = pd.concat([results, results[results["source"] == "input"].assign(draw=1)], ignore_index=True)
    table = networks(twice, store.snapshot(), grid.spec)
    rows = table[(table["source"] == "input") & (table["metric"] == "zero_loss")]
    assert list(zip(rows["draw"], rows["n"], strict=True)) == [(0, 12), (1, 12)]


def test_trainings_that_diverged_are_left_out(ran: Any) -> None:
    grid, store = ran
    results = results_table(grid, store.snapshot())
    results.loc[(results["source"] == "any") & (results["seed"] == 1), "status"] = "diverged"
    table = networks(results, store.snapshot(), grid.spec)
    assert set(table.loc[table["ticket"] == "dense", "n"]) == {6}
    assert table.loc[table["ticket"] != "dense", "both"].isna().all()


def test_two_ways_to_prune_are_compared_network_by_network(findings: Findings) -> None:
    """Product's first 3 and 5 networks, of each seed's six; input's none."""
    table = findings.computed["paired_networks"].set_index("metric")
    assert set(table["source"]) == {"product"} and set(table["other"]) == {"input"} and set(table["n"]) == {12}
    assert tuple(table.loc["decision_boundary", ["only_source", "only_other"]]) == (8, 0)
    assert table.loc["decision_boundary", "p"] == pytest.approx(2 / 2**8)
    assert tuple(table.loc["zero_loss", ["only_source", "only_other"]]) == (7, 0)
    assert (table["p_holm"] == table["p"]).all(), "one row of each metric"


def test_mcnemars_test_is_exact() -> None:
    """Of 13 pairs that differ, 10 to one side: 2 * sum of C(13, k) for k <= 3, over 2**13."""
    assert mcnemar(10, 3) == mcnemar(3, 10) == pytest.approx(2 * (1 + 13 + 78 + 286) / 2**13)
    assert mcnemar(0, 0) == 1.0


def test_networks_of_other_models_are_not_the_same_networks(ran: Any) -> None:
    grid, store = ran
    other = grid.spec.sources[1].model_copy(update={"model": grid.spec.targets[1].model})
    spec = grid.spec.model_copy(update={"sources": (grid.spec.sources[0], other)})
    assert paired_networks(results_table(grid, store.snapshot()), store.snapshot(), spec).empty


def test_other_models_have_no_such_rows(findings_of: Callable[..., Findings]) -> None:
    findings = findings_of()
    assert findings.computed["networks"].empty and how_many_succeed(findings.computed["networks"]) == []
    assert "Networks that succeed" not in render(findings)


def test_papers_accuracies_and_convergence_stand_beside_means_over_seeds(findings: Findings) -> None:
    rows = {
        (row.metric, row.target): row
        for row in findings.computed["beside_paper"].itertuples()
        if row.target is not pd.NA
    }
    accuracy = rows["test_accuracy", "small"]
    curve = findings.computed["curves"][findings.computed["curves"]["target"] == "small"].iloc[0]
    assert (accuracy.n, accuracy.mean, accuracy.low, accuracy.high) == (2, curve["mean"], curve["low"], curve["high"])
    assert accuracy.difference == pytest.approx(curve["mean"] - 0.7)
    assert rows["convergence", "xor"].n == 0, "a record a training: none can be said to have converged"


def test_published_values_that_are_of_nothing_are_told(findings: Findings) -> None:
    lost = findings.computed["beside_paper"][findings.computed["beside_paper"]["n"].isna()]
    assert list(lost["metric"]) == ["zero_loss", "test_accuracy"]
    text = re.sub(r"\s+", " ", render(findings))
    assert text.count("no such point") == 2 and "no seed converged" in text


def test_the_page_has_the_table_and_its_words_in_place_of_untested_matrices(findings: Findings, opened: Any) -> None:
    page = opened(findings).page
    said = page.inner_text("#networks")
    assert "test loss below 0.1" in said and "A paper, Figure 2" in said
    cells = page.evaluate(
        "[...document.querySelectorAll('#networks tbody tr')].map((row) => row.innerText.split(/\\s+/))"
    )
    assert cells[1][:9] == ["xor", "product", "winning", "1", "2", "12", "66.7", "39.1", "to"]
    assert "n = 2: too few seeds for a test" in page.inner_text("#matrices")
    assert "How many networks succeed? On xor 50.0, 50.0 and 33.3 % of 12 dense networks" in page.inner_text("#glance")


def test_the_terminal_has_the_rows_within_80_columns(findings: Findings) -> None:
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(report(findings, width=80, plain=True))
    text = console.export_text()
    line = next(line for line in text.splitlines() if line.startswith("| product -> xor"))
    assert [cell.strip() for cell in line.split("|")[2:-1]] == ["2", "12", "66.7", "41.7", "25.0"]
    assert [text.count(f"Networks that succeed (%): {title}") for title in TITLES.values()] == [1, 1, 1]
    assert "…" not in text
    assert "Does the" not in text, "nothing is tested over seeds"
