"""Runs read as what they are, know their data, and are corrected where they stand."""

from collections.abc import Callable
from typing import Any

import pytest
from scipy import stats

from pipeline.engine.tracking.colours import PALETTE, colours
from pipeline.engine.tracking.metrics import mean
from pipeline.engine.tracking.sync import sync
from pipeline.experiment.grid import Grid

RunsOf = Callable[[str, Grid], dict[str, Any]]
ClientOf = Callable[[str, Grid], Any]
MakeGrid = Callable[..., Grid]
MakeSnapshot = Callable[..., Any]

PARENTS = {
    "one -> one, winning, sgd",
    "one -> two, winning, sgd -> adam",
    "two -> one, winning, adam -> sgd",
    "two -> two, winning, adam",
    "random on one, sgd",
    "random on two, adam",
}


def test_names_say_source_target_ticket_and_optimizers(
    uri: str, grid: Grid, snapshot: MakeSnapshot, runs_of: RunsOf
) -> None:
    sync(grid, snapshot(grid), uri)
    runs = runs_of(uri, grid)
    assert set(runs) == {"report"} | PARENTS | {f"{name}, seed {seed}" for name in PARENTS for seed in (0, 1)}


def test_long_names_are_cut_to_what_mlflows_databases_take_and_stay_different(
    make_grid: MakeGrid, snapshot: MakeSnapshot, uri: str, runs_of: RunsOf
) -> None:
    sides = [f"{{name: {'n' * 140}{half}, dataset: {{name: digits, half: {half}}}}}" for half in "ab"]
    grid = make_grid("long", f"sources=[{', '.join(sides)}]")
    sync(grid, snapshot(grid), uri)
    names = list(runs_of(uri, grid))
    assert len(names) == 19 and max(map(len, names)) == 250
    assert all(name.endswith((", sgd", "seed 0", "seed 1", "report")) for name in names)


def test_a_run_of_another_name_is_renamed_and_no_twin_of_it_is_made(
    uri: str, grid: Grid, snapshot: MakeSnapshot, runs_of: RunsOf, client_of: ClientOf
) -> None:
    sync(grid, snapshot(grid), uri)
    before = runs_of(uri, grid)["two -> two, winning, adam"].info.run_id
    client = client_of(uri, grid)
    client.update_run(before, name="two -> two, winning")
    client.set_tag(before, "target_optimizer", "sgd")
    again = sync(grid, snapshot(grid), uri)
    after = runs_of(uri, grid)["two -> two, winning, adam"]
    assert after.info.run_id == before
    assert after.data.tags["target_optimizer"] == "adam"
    assert (again.counts.created, again.counts.deleted) == (0, 0)


def test_one_filter_gives_the_means_without_their_seeds(
    uri: str, grid: Grid, snapshot: MakeSnapshot, client_of: ClientOf
) -> None:
    sync(grid, snapshot(grid), uri)
    client = client_of(uri, grid)
    experiment = client.get_experiment_by_name(grid.name).experiment_id
    found = client.search_runs([experiment], "tags.seed = 'all' and tags.ticket = 'winning'")
    assert {run.info.run_name for run in found} == {name for name in PARENTS if "winning" in name}


def test_data_sets_are_inputs_once_and_say_whose_they_are(
    uri: str, grid: Grid, snapshot: MakeSnapshot, runs_of: RunsOf
) -> None:
    for _ in range(2):
        sync(grid, snapshot(grid), uri)
    runs = runs_of(uri, grid)

    def inputs(name: str) -> dict[str, str]:
        used = runs[name].inputs.dataset_inputs
        assert len({data.dataset.digest for data in used}) == len(used)
        return {data.dataset.name: data.tags[0].value for data in used}

    for seed in ("", ", seed 1"):
        assert inputs(f"one -> two, winning, sgd -> adam{seed}") == {
            "digits, half a": "source",
            "digits, half b": "target",
        }
        assert inputs(f"two -> two, winning, adam{seed}") == {"digits, half b": "source, target"}
        assert inputs(f"random on one, sgd{seed}") == {"digits, half a": "target"}


def test_data_sets_of_runs_that_lack_them_are_made_up_for(
    uri: str, grid: Grid, snapshot: MakeSnapshot, runs_of: RunsOf, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("mlflow.MlflowClient.log_inputs", lambda *_, **__: None)
        sync(grid, snapshot(grid), uri)
    assert not runs_of(uri, grid)["one -> one, winning, sgd"].inputs.dataset_inputs
    sync(grid, snapshot(grid), uri)
    assert runs_of(uri, grid)["one -> one, winning, sgd"].inputs.dataset_inputs


def test_the_mean_has_the_interval_of_students_t() -> None:
    values = [0.91, 0.95, 0.96]
    metrics = mean(values, [0.8] * 3, stages=["c", "a", "b"], timestamp=7).metrics
    low, high = stats.t.interval(0.95, 2, loc=stats.tmean(values), scale=stats.sem(values))
    assert metrics == pytest.approx(
        {
            "test_accuracy": stats.tmean(values),
            "test_accuracy_n": 3,
            "test_accuracy_std": stats.tstd(values),
            "test_accuracy_low": low,
            "test_accuracy_high": high,
            "fraction_pruned": 0.8,
        }
    )


def test_one_seed_has_a_mean_and_no_interval() -> None:
    metrics = mean([0.9], [0.5], stages=["a"], timestamp=7).metrics
    assert metrics == {"test_accuracy": 0.9, "test_accuracy_n": 1, "fraction_pruned": 0.5}


@pytest.mark.parametrize(("sources", "targets"), [(3, 2), (6, 6), (10, 11), (11, 5)])
def test_lines_that_are_compared_have_different_colours(sources: int, targets: int) -> None:
    curves = [(f"s{s}", f"t{t}", "winning") for s in range(sources) for t in range(targets)]
    curves += [("any", f"t{t}", "random") for t in range(targets)] if sources < len(PALETTE) else []
    chosen = colours(curves)
    for target in range(targets):
        panel = [colour for (_, at, _), colour in chosen.items() if at == f"t{target}"]
        assert len(set(panel)) == len(panel)
    for source in range(sources):
        panel = [colour for (of, _, _), colour in chosen.items() if of == f"s{source}"]
        assert len(set(panel)) == len(panel)


def test_several_draws_of_a_control_are_averaged_in_their_seeds_run(
    uri: str, make_grid: MakeGrid, snapshot: MakeSnapshot, runs_of: RunsOf
) -> None:
    grid = make_grid("draws", "tickets=[winning, {name: redrawn, weights: redrawn, draws: 3}]")
    records = snapshot(grid)
    drawn = [p for p in grid.points if (p.source, p.target, p.ticket, p.round) == ("one", "one", "redrawn", 2)]
    assert len(drawn) == 6
    for point in drawn:
        records[point.stage]["summary"]["test_accuracy"] = 0.5 + 0.1 * point.seed + 0.01 * point.draw
    sync(grid, records, uri)
    runs = runs_of(uri, grid)
    for seed in (0, 1):
        child = runs[f"one -> one, redrawn, sgd, seed {seed}"]
        assert child.data.metrics["test_accuracy"] == pytest.approx(0.51 + 0.1 * seed)
    parent = runs["one -> one, redrawn, sgd"].data.metrics
    assert parent["test_accuracy"] == pytest.approx(0.56)
    assert parent["test_accuracy_n"] == 2
    assert parent["test_accuracy_std"] == pytest.approx(0.1 / 2**0.5)


def test_a_seed_waits_for_all_draws_of_a_round(
    uri: str, make_grid: MakeGrid, snapshot: MakeSnapshot, runs_of: RunsOf
) -> None:
    grid = make_grid("waiting", "tickets=[winning, {name: redrawn, weights: redrawn, draws: 2}]", "seeds=[0]")
    (late,) = [
        p.stage
        for p in grid.points
        if (p.source, p.target, p.ticket, p.round, p.draw) == ("one", "one", "redrawn", 2, 1)
    ]
    sync(grid, snapshot(grid, without=lambda key: key == late), uri)
    run = runs_of(uri, grid)["one -> one, redrawn, sgd, seed 0"]
    assert run.data.metrics["fraction_pruned"] < 0.6, "the last round is not there yet"
