"""MLflow shows what the store has, each point once, whoever logged it and however often."""

import contextlib
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from pipeline.engine.store import Store
from pipeline.engine.tracking import schema
from pipeline.engine.tracking.client import connect
from pipeline.engine.tracking.digest import is_tracked, logged_runs, projection_digest, remember_tracked
from pipeline.engine.tracking.existing_runs import existing_runs
from pipeline.engine.tracking.fingerprint import fingerprint
from pipeline.engine.tracking.runs import KEY
from pipeline.engine.tracking.sync import sync
from pipeline.engine.tracking.tracker import Tracker
from pipeline.engine.tracking.uri import check_tracking_uri
from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid, Point
from pipeline.experiment.loading import load

ROUNDS = (0, 1, 2)


GRID = """
model: {name: lenet, hidden: [30, 10]}
prune: {rate: 0.2, rounds: 2, evaluate: [0, 1, 2]}
training: {optimizer: {name: sgd, lr: 0.1}, batch_size: 64, length: 1ep}
sources: [{name: a, dataset: digits}]
targets:
  - {name: a, dataset: digits}
  - {name: b, dataset: {name: digits, half: b}, training: {optimizer: {name: adam, lr: 0.001}}}
dense: false
"""
RUNS = 13
"""Of four curves with two seeds each, and one for the report."""


@pytest.fixture(scope="module")
def make_grid(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Grid]:
    """A real grid: a chain on `a`, its winning tickets and random ones on `a` and `b`, rounds 0 to 2."""
    file = tmp_path_factory.mktemp("grids") / "grid.yaml"

    def make(name: str, seeds: Sequence[int] = (0, 1), lr: float = 0.1) -> Grid:
        file.write_text(f"name: {name}\nseeds: {list(seeds)}\n{GRID}")
        return expand(load(file, [f"training.optimizer.lr={lr}"]))

    return make


def record_of(point: Point, **changes: Any) -> Any:
    """A record as the store gives it; accuracy and time depend on the point alone."""
    accuracy = 0.9 - 0.01 * point.round - 0.001 * point.seed
    summary = {"test_accuracy": accuracy, "test_loss": 0.4, "train_accuracy": 0.99, "train_loss": 0.1}
    finished = 1_700_000_000.0 + 10 * point.round + point.seed
    return {
        "key": point.stage,
        "status": "ok",
        "summary": summary,
        "started": finished - 5,
        "finished": finished,
        "seconds": 5.0,
        "versions": {"torch": "2.9"},
        "hardware": {"cpu": "test"},
    } | changes


def _is_chain(point: Point, seed: int) -> bool:
    return (point.target, point.ticket, point.seed) == ("a", "winning", seed)


class Records(dict[str, Any]):
    """The snapshot of a store in which all of the grid, or some of it, is done."""

    def __init__(self, grid: Grid, only: Callable[[Point], bool] = lambda point: True) -> None:
        super().__init__({point.stage: record_of(point) for point in grid.points if only(point)})

    def record(self, key: str) -> Any:
        return self.get(key)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture
def grid(request: pytest.FixtureRequest, make_grid: Callable[..., Grid]) -> Grid:
    return make_grid(request.node.name)


def shown(uri: str, grid: Grid) -> dict[str, Any]:
    """The experiment's active runs by name."""
    experiment = connect(uri, grid.name)
    runs = experiment.client.search_runs([experiment.experiment_id])
    assert len({run.info.run_name for run in runs}) == len(runs), "two runs of one name"
    return {run.info.run_name: run for run in runs}


def tracker_client(uri: str, grid: Grid) -> tuple[Any, str]:
    """MLflow's client and the experiment's id."""
    experiment = connect(uri, grid.name)
    return experiment.client, experiment.experiment_id


def history(uri: str, grid: Grid, run: str, metric: str) -> list[tuple[int, int, float]]:
    """(step, timestamp, value) of every point logged."""
    found = shown(uri, grid)[run]
    client = connect(uri, grid.name).client
    return sorted((m.step, m.timestamp, m.value) for m in client.get_metric_history(found.info.run_id, metric))


def test_one_parent_for_each_transfer_and_one_child_for_each_seed(uri: str, grid: Grid) -> None:
    sync(grid, Records(grid), uri)
    runs = shown(uri, grid)
    parents = {"a -> a, winning, sgd", "a -> b, winning, sgd -> adam", "random on a, sgd", "random on b, adam"}
    assert set(runs) == {"report"} | parents | {f"{name}, seed {seed}" for name in parents for seed in (0, 1)}
    for name in parents:
        for seed in (0, 1):
            assert runs[f"{name}, seed {seed}"].data.tags["mlflow.parentRunId"] == runs[name].info.run_id
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_the_round_is_the_step_and_the_time_is_the_records(uri: str, grid: Grid) -> None:
    sync(grid, Records(grid), uri)
    steps, times, values = zip(
        *history(uri, grid, "a -> b, winning, sgd -> adam, seed 1", "test_accuracy"), strict=True
    )
    assert steps == ROUNDS
    assert times == tuple(1_700_000_001_000 + 10_000 * number for number in ROUNDS)
    assert values == pytest.approx([0.899, 0.889, 0.879])
    pruned = [value for _, _, value in history(uri, grid, "a -> b, winning, sgd -> adam, seed 1", "fraction_pruned")]
    points = [point for point in grid.points if (point.target, point.ticket, point.seed) == ("b", "winning", 1)]
    assert pruned == [point.fraction_pruned for point in points] == pytest.approx([0, 0.2, 0.36], abs=1e-3)
    metrics = shown(uri, grid)["a -> b, winning, sgd -> adam, seed 1"].data.metrics
    assert set(metrics) == {"test_accuracy", "test_loss", "train_accuracy", "train_loss", "fraction_pruned", "seconds"}


def test_the_parent_has_mean_std_and_n_of_its_seeds(uri: str, grid: Grid) -> None:
    sync(grid, Records(grid), uri)
    values = [value for _, _, value in history(uri, grid, "a -> b, winning, sgd -> adam", "test_accuracy")]
    assert values == pytest.approx([0.8995, 0.8895, 0.8795])
    last_seed = [time for _, time, _ in history(uri, grid, "a -> b, winning, sgd -> adam, seed 1", "test_accuracy")]
    assert [time for _, time, _ in history(uri, grid, "a -> b, winning, sgd -> adam", "test_accuracy")] == last_seed
    assert shown(uri, grid)["a -> b, winning, sgd -> adam"].data.metrics["test_accuracy_std"] == pytest.approx(
        0.001 / 2**0.5
    )
    assert [value for *_, value in history(uri, grid, "a -> b, winning, sgd -> adam", "test_accuracy_n")] == [2, 2, 2]


def test_runs_are_found_by_what_they_are(uri: str, grid: Grid) -> None:
    sync(grid, Records(grid), uri)
    experiment = connect(uri, grid.name)

    def names(query: str) -> set[str]:
        found = experiment.client.search_runs([experiment.experiment_id], query)
        return {run.info.run_name for run in found}

    assert names("params.source = 'a' and params.target = 'b' and params.seed = '1'") == {
        "a -> b, winning, sgd -> adam, seed 1"
    }
    random = {"random on b, adam", "random on b, adam, seed 0", "random on b, adam, seed 1"}
    assert (
        names("tags.ticket = 'random' and tags.target = 'b'")
        == random
        == names("params.source_optimizer = 'any' and params.target = 'b'")
    )
    assert names("params.source_optimizer = 'sgd' and params.target_optimizer = 'adam' and params.seed = '0'") == {
        "a -> b, winning, sgd -> adam, seed 0"
    }
    assert len(names("params.model = 'lenet-30-10'")) == RUNS - 1


def test_logging_the_same_grid_again_changes_nothing(uri: str, grid: Grid) -> None:
    sync(grid, Records(grid), uri)
    before = {run.info.run_id for run in shown(uri, grid).values()}
    again = sync(grid, Records(grid), uri)
    assert (again.counts.created, again.counts.points, again.counts.deleted) == (0, 0, 0)
    assert {run.info.run_id for run in shown(uri, grid).values()} == before
    for run in ("a -> a, winning, sgd", "a -> a, winning, sgd, seed 0"):
        assert [step for step, *_ in history(uri, grid, run, "test_accuracy")] == list(ROUNDS)


def test_a_stage_that_ran_again_is_not_logged_again(uri: str, grid: Grid) -> None:
    """Its output was damaged, say: same key, same result, but a later time, with which MLflow would show two points."""
    sync(grid, Records(grid), uri)
    later = Records(grid)
    later.update({key: record | {"finished": record["finished"] + 1e6} for key, record in later.items()})
    sync(grid, later, uri)
    assert len(history(uri, grid, "a -> a, winning, sgd, seed 0", "test_accuracy")) == len(ROUNDS)
    assert len(history(uri, grid, "a -> a, winning, sgd", "test_accuracy")) == len(ROUNDS)


def test_a_crash_before_the_note_of_what_was_logged_makes_no_second_point(uri: str, grid: Grid) -> None:
    sync(grid, Records(grid), uri)
    experiment = connect(uri, grid.name)
    for run in shown(uri, grid).values():
        experiment.client.set_tag(run.info.run_id, "ticket_transfer.rounds", "{}")
    sync(grid, Records(grid), uri)
    assert len(history(uri, grid, "a -> a, winning, sgd, seed 0", "test_accuracy")) == len(ROUNDS)


def test_a_run_in_progress_shows_what_is_done_and_no_mean_of_some_seeds(uri: str, grid: Grid) -> None:
    some = Records(grid, lambda point: point.round == 0 or (point.round == 1 and point.seed == 0))
    sync(grid, some, uri)
    assert [step for step, *_ in history(uri, grid, "a -> a, winning, sgd, seed 0", "test_accuracy")] == [0, 1]
    assert [step for step, *_ in history(uri, grid, "a -> a, winning, sgd", "test_accuracy")] == [0]
    assert shown(uri, grid)["a -> a, winning, sgd"].info.status == "KILLED"
    sync(grid, Records(grid), uri)
    assert [step for step, *_ in history(uri, grid, "a -> a, winning, sgd", "test_accuracy")] == list(ROUNDS)
    assert {run.info.status for run in shown(uri, grid).values()} == {"FINISHED"}


def test_results_appear_while_the_grid_runs(uri: str, grid: Grid, wait_until: Callable[..., None]) -> None:
    tracker = Tracker(uri, grid)
    chain = [point for point in grid.points if _is_chain(point, 0)]
    tracker.log((point, record_of(point)) for point in chain[:2])
    wait_until(lambda: "a -> a, winning, sgd, seed 0" in shown(uri, grid), 600, "the first seed is in MLflow")
    assert shown(uri, grid)["a -> a, winning, sgd, seed 0"].info.status == "RUNNING"
    tracker.log_stages({point.stage: record_of(point) for point in grid.points})
    assert tracker.finish()
    assert [step for step, *_ in history(uri, grid, "a -> a, winning, sgd, seed 0", "test_accuracy")] == list(ROUNDS)


def test_more_seeds_replace_the_parent_and_keep_the_children(
    uri: str, grid: Grid, make_grid: Callable[..., Grid]
) -> None:
    sync(grid, Records(grid), uri)
    before = shown(uri, grid)
    more = make_grid(grid.name, seeds=(0, 1, 2))
    sync(more, Records(more), uri)
    after = shown(uri, more)
    assert after["a -> b, winning, sgd -> adam"].info.run_id != before["a -> b, winning, sgd -> adam"].info.run_id
    assert [value for *_, value in history(uri, more, "a -> b, winning, sgd -> adam", "test_accuracy_n")] == [3, 3, 3]
    for seed in (0, 1):
        child = after[f"a -> b, winning, sgd -> adam, seed {seed}"]
        assert child.info.run_id == before[f"a -> b, winning, sgd -> adam, seed {seed}"].info.run_id
        assert child.data.tags["mlflow.parentRunId"] == after["a -> b, winning, sgd -> adam"].info.run_id


def test_another_training_under_the_same_name_replaces_the_results(
    uri: str, grid: Grid, make_grid: Callable[..., Grid]
) -> None:
    sync(grid, Records(grid), uri)
    other = make_grid(grid.name, lr=0.2)
    sync(other, Records(other), uri)
    assert len(shown(uri, other)) == RUNS
    tags = shown(uri, other)["a -> a, winning, sgd, seed 0"].data.tags
    stages = {str(point.round): point.stage[:12] for point in other.points if _is_chain(point, 0)}
    assert json.loads(tags["ticket_transfer.rounds"]) == stages


def test_of_twins_that_two_drivers_made_the_smallest_id_stays(uri: str, grid: Grid) -> None:
    sync(grid, Records(grid), uri)
    experiment = connect(uri, grid.name)
    name = "a -> a, winning, sgd"
    key = shown(uri, grid)[name].data.tags[KEY]
    ids = [shown(uri, grid)[name].info.run_id]
    ids += [experiment.client.create_run(experiment.experiment_id, tags={KEY: key}, run_name=name).info.run_id]
    sync(grid, Records(grid), uri)
    assert shown(uri, grid)[name].info.run_id == min(ids)
    assert shown(uri, grid)[f"{name}, seed 0"].data.tags["mlflow.parentRunId"] == min(ids)
    assert [step for step, *_ in history(uri, grid, name, "test_accuracy")] == list(ROUNDS)


def test_two_drivers_at_once_leave_one_run_each(uri: str, grid: Grid) -> None:
    trackers = [Tracker(uri, grid) for _ in range(2)]
    for tracker in trackers:
        tracker.log_stages(Records(grid))
    finishing = [threading.Thread(target=tracker.finish) for tracker in trackers]
    for thread in finishing:
        thread.start()
    for thread in finishing:
        thread.join()
    sync(grid, Records(grid), uri)
    assert len(shown(uri, grid)) == RUNS
    assert [step for step, *_ in history(uri, grid, "a -> a, winning, sgd", "test_accuracy")] == list(ROUNDS)


def test_twins_made_while_the_tracker_works_are_gone_when_it_finishes(
    uri: str, grid: Grid, wait_until: Callable[..., None]
) -> None:
    tracker = Tracker(uri, grid)
    tracker.log_stages(Records(grid))
    wait_until(lambda: len(shown(uri, grid)) == RUNS - 1, 600, "the runs are in MLflow")
    run, experiment = shown(uri, grid)["a -> a, winning, sgd, seed 0"], connect(uri, grid.name)
    twin = experiment.client.create_run(experiment.experiment_id, tags=run.data.tags, run_name=run.info.run_name)
    assert tracker.finish()
    assert shown(uri, grid)[run.info.run_name].info.run_id == min(run.info.run_id, twin.info.run_id)


def test_a_run_deleted_under_the_tracker_is_made_again(uri: str, grid: Grid, wait_until: Callable[..., None]) -> None:
    problems: list[str] = []
    tracker = Tracker(uri, grid, on_problem=problems.append)
    tracker.log_stages(Records(grid, lambda point: point.round == 0))
    wait_until(lambda: len(shown(uri, grid)) == RUNS - 1, 600, "the runs are in MLflow")
    deleted = shown(uri, grid)["a -> a, winning, sgd"].info.run_id
    connect(uri, grid.name).client.delete_run(deleted)
    tracker.log_stages(Records(grid))
    wait_until(lambda: "a -> a, winning, sgd" in shown(uri, grid), 600, "the run is there again")
    assert not problems
    assert tracker.finish()
    runs = shown(uri, grid)
    assert (
        runs["a -> a, winning, sgd, seed 1"].data.tags["mlflow.parentRunId"] == runs["a -> a, winning, sgd"].info.run_id
    )


def test_failed_stages_do_not_hold_the_mean_of_the_others_back(uri: str, grid: Grid) -> None:
    lost = next(point for point in grid.points if _is_chain(point, 1) and point.round == 2)
    tracker = Tracker(uri, grid)
    tracker.log_stages(Records(grid, lambda point: point != lost))
    assert tracker.finish(pd.DataFrame({"stage": [lost.stage], "status": ["failed"]}))
    assert [value for *_, value in history(uri, grid, "a -> a, winning, sgd", "test_accuracy_n")] == [2, 2, 1]
    assert shown(uri, grid)["a -> a, winning, sgd, seed 1"].info.status == "FAILED"


def test_a_diverged_seed_counts_and_its_loss_is_left_out(uri: str, grid: Grid) -> None:
    records = Records(grid)
    bad = next(point for point in grid.points if _is_chain(point, 1) and point.round == 2)
    summary = {"test_accuracy": 0.1, "test_loss": None, "train_accuracy": 0.1, "train_loss": float("nan")}
    records[bad.stage] = record_of(bad, status="diverged", summary=summary)
    sync(grid, records, uri)
    assert history(uri, grid, "a -> a, winning, sgd", "test_accuracy")[2][2] == pytest.approx((0.88 + 0.1) / 2)
    for loss in ("test_loss", "train_loss"):
        assert [step for step, *_ in history(uri, grid, "a -> a, winning, sgd, seed 1", loss)] == [0, 1]


def test_the_report_run_carries_spec_provenance_and_files(uri: str, grid: Grid, tmp_path: Path) -> None:
    figure = tmp_path / "curves.png"
    figure.write_bytes(b"picture")
    sync(grid, Records(grid), uri, artifacts=[figure], provenance={"git_commit": "abc", "host": "here", "versions": {}})
    run = shown(uri, grid)["report"]
    client = connect(uri, grid.name).client
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {"spec.yaml", "provenance.json", "report"}
    assert [item.path for item in client.list_artifacts(run.info.run_id, "report")] == ["report/curves.png"]
    told = json.loads(Path(client.download_artifacts(run.info.run_id, "provenance.json")).read_text())
    assert told["versions"] == [{"torch": "2.9"}]
    assert told["driver"]["host"] == "here"
    assert run.data.tags["mlflow.source.git.commit"] == "abc"


def test_a_server_that_is_away_is_reported_once_and_stops_nothing(grid: Grid) -> None:
    problems: list[str] = []
    tracker = Tracker("http://127.0.0.1:9", grid, on_problem=problems.append)
    tracker.log_stages(Records(grid))
    assert not tracker.finish()
    assert len(problems) == 1
    assert "tickets sync" in problems[0]
    assert "127.0.0.1:9" in problems[0]


def test_sync_says_that_the_server_is_away(grid: Grid) -> None:
    with pytest.raises(UserError, match="127"):
        sync(grid, Records(grid), "http://127.0.0.1:9")


@pytest.mark.parametrize("folder", ["runs", "file:///tmp/runs"])
def test_a_folder_is_refused_with_what_to_write_instead(folder: str) -> None:
    with pytest.raises(UserError, match="sqlite:///"):
        check_tracking_uri(folder)


@pytest.mark.parametrize("good", ["sqlite:///a/mlflow.db", "http://mlflow:5000", "postgresql+psycopg2://user@host/db"])
def test_databases_and_servers_are_accepted(good: str) -> None:
    check_tracking_uri(good)


def remember(store: Store, uri: str, grid: Grid, records: Any) -> None:
    remember_tracked(store, sync(grid, records, uri), uri, grid, records.record)


def test_a_grid_that_is_tracked_is_known_to_be(
    uri: str, grid: Grid, make_grid: Callable[..., Grid], store: Store
) -> None:
    records = Records(grid)
    assert not is_tracked(store, uri, grid, records.record)
    remember(store, uri, grid, records)
    assert is_tracked(store, uri, grid, records.record)
    assert not is_tracked(store, uri + "2", grid, records.record)
    more = make_grid(grid.name, seeds=(0, 1, 2))
    assert not is_tracked(store, uri, more, records.record)


def test_a_database_that_shows_something_else_is_not_taken_for_tracked(
    uri: str, grid: Grid, store: Store, copy_of: Callable[[str], Path]
) -> None:
    records = Records(grid)
    tracker = sync(grid, records, uri)
    client, experiment = tracker_client(uri, grid)
    curve, child = (shown(uri, grid)[f"a -> a, winning, sgd{seed}"].info.run_id for seed in ("", ", seed 0"))
    remember_tracked(store, tracker, uri, grid, records.record)
    for change in (
        lambda: client.update_run(curve, "RUNNING"),
        lambda: client.set_tag(curve, "ticket_transfer.rounds", "{}"),
        lambda: client.delete_run(curve),
        lambda: client.create_run(experiment, tags={KEY: client.get_run(child).data.tags[KEY]}),
        lambda: client.delete_experiment(experiment),
    ):
        assert is_tracked(store, uri, grid, records.record)
        change()
        assert not is_tracked(store, uri, grid, records.record)
        now: Any = SimpleNamespace(fingerprint=fingerprint(existing_runs(client, experiment)), owes_tickets=False)
        remember_tracked(store, now, uri, grid, records.record)

    database = copy_of(uri)
    for content in (database.read_bytes()[:200_000], b"", None):
        database.unlink() if content is None else database.write_bytes(content)
        remember_tracked(store, tracker, f"sqlite:///{database}", grid, records.record)
        assert not is_tracked(store, f"sqlite:///{database}", grid, records.record)


def test_a_damaged_tag_is_not_tracked_and_is_written_again(uri: str, grid: Grid, store: Store) -> None:
    records = Records(grid)
    remember(store, uri, grid, records)
    run = shown(uri, grid)["a -> a, winning, sgd, seed 0"]
    before = history(uri, grid, run.info.run_name, "test_accuracy")
    for tag in ("{", "[1]"):
        tracker_client(uri, grid)[0].set_tag(run.info.run_id, "ticket_transfer.rounds", tag)
        assert not is_tracked(store, uri, grid, records.record)
        remember(store, uri, grid, records)
        again = shown(uri, grid)[run.info.run_name]
        assert again.info.run_id == run.info.run_id and again.data.tags["ticket_transfer.rounds"] != tag
        assert history(uri, grid, run.info.run_name, "test_accuracy") == before
        assert is_tracked(store, uri, grid, records.record)


def test_another_mlflow_is_asked_whether_it_still_shows_what_was_logged(uri: str, grid: Grid, store: Store) -> None:
    """A server has no file to look into: only what was logged to it is remembered."""
    records = Records(grid)
    remember(store, uri, grid, records)
    logged = logged_runs(store, uri, grid, records.record)
    before = shown(uri, grid)

    def again() -> Tracker:
        tracker = Tracker(uri, grid)
        tracker.log_snapshot(records, write=False)
        assert tracker.finish(logged=logged)
        return tracker

    assert again().counts.created == 0
    assert shown(uri, grid)["report"].info.end_time == before["report"].info.end_time
    connect(uri, grid.name).client.delete_run(before["a -> a, winning, sgd"].info.run_id)
    assert again().counts.created == 1
    assert shown(uri, grid)["a -> a, winning, sgd"].info.status == "FINISHED"


def test_a_database_that_is_replaced_while_the_grid_runs_gets_everything(
    uri: str, grid: Grid, copy_of: Callable[[str], Path], wait_until: Callable[..., None]
) -> None:
    database = copy_of(uri)
    here = f"sqlite:///{database}"
    another = database.with_name("another.db")
    shutil.copy(database, another)
    tracker = Tracker(here, grid)
    tracker.log_stages(Records(grid, lambda point: point.round == 0))
    wait_until(lambda: len(shown(here, grid)) == RUNS - 1, 600, "the runs are in MLflow")
    another.replace(database)
    tracker.log_stages(Records(grid), write=False)
    assert tracker.finish()
    assert len(shown(here, grid)) == RUNS
    assert {run.info.status for run in shown(here, grid).values()} == {"FINISHED"}
    assert [step for step, *_ in history(here, grid, "a -> a, winning, sgd", "test_accuracy")] == list(ROUNDS)


def test_two_drivers_that_end_at_once_leave_no_twins(uri: str, grid: Grid) -> None:
    def end(tracker: Tracker) -> None:
        tracker.log_snapshot(Records(grid), write=False)
        assert tracker.finish()

    class Late(Tracker):
        """Another driver that looks at MLflow, and then waits while the first one makes all runs."""

        def _write(self, curves: Collection[int], ended: bool) -> None:
            self._writer._connected()
            if first:
                end(first.pop())
            super()._write(curves, ended)

    first = [Tracker(uri, grid)]
    end(Late(uri, grid))
    assert len(shown(uri, grid)) == RUNS
    assert [step for step, *_ in history(uri, grid, "a -> a, winning, sgd", "test_accuracy")] == list(ROUNDS)
    assert {run.info.status for run in shown(uri, grid).values()} == {"FINISHED"}


def test_a_locked_or_damaged_database_is_told_in_one_sentence(
    uri: str,
    grid: Grid,
    copy_of: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    database = copy_of(uri)
    monkeypatch.setattr(schema, "LOCKED", 0.1)
    told: list[str] = []
    tracker = Tracker(f"sqlite:///{database}", grid, on_problem=told.append)
    tracker.log_snapshot(Records(grid), write=False)
    with contextlib.closing(sqlite3.connect(database)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        assert not tracker.finish()
    assert told[0].startswith(f"MLflow at sqlite:///{database} could not be written: another process holds it locked. ")
    database.write_bytes(database.read_bytes()[:200_000])
    with pytest.raises(UserError, match=r"damaged \(database disk image is malformed\). Move it away"):
        sync(grid, Records(grid), f"sqlite:///{database}")
    written = capfd.readouterr()
    assert "Traceback" not in written.out + written.err and "sqlalchemy" not in written.out + written.err


def test_a_database_that_refuses_in_the_middle_is_told_in_one_sentence(
    uri: str, grid: Grid, copy_of: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    """As a full disk does: MLflow logs the statement, with a stack trace."""
    database = copy_of(uri)
    with contextlib.closing(sqlite3.connect(database)) as link:
        link.execute("CREATE TRIGGER full BEFORE INSERT ON metrics BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    told: list[str] = []
    tracker = Tracker(f"sqlite:///{database}", grid, on_problem=told.append)
    tracker.log_snapshot(Records(grid), write=False)
    assert not tracker.finish()
    assert len(told) == 1 and "could not be written: its disk is full. The run goes on" in told[0]
    written = capfd.readouterr()
    assert "Traceback" not in written.out + written.err and "sqlalchemy" not in written.out + written.err


def test_a_password_of_mlflow_is_not_in_the_store_and_another_one_is_the_same_mlflow(grid: Grid, store: Store) -> None:
    records = Records(grid)
    done: Any = SimpleNamespace(fingerprint="of its runs", owes_tickets=False)
    remember_tracked(store, done, "postgresql://mlflow:old@host/db", grid, records.record)
    assert logged_runs(store, "postgresql://mlflow:new@host/db", grid, records.record) == "of its runs"
    assert logged_runs(store, "postgresql://mlflow:old@other/db", grid, records.record) is None
    digest = hashlib.sha256(b"postgresql://mlflow:old@host/db").hexdigest()
    assert store.documents.read(f"tracking/{digest}/{grid.name}") is None, "one could guess, and compare the hash"


def test_the_digest_follows_the_results(grid: Grid) -> None:
    records = Records(grid)
    digest = projection_digest(grid, records.record)
    assert projection_digest(grid, Records(grid, lambda point: point.round < 2).record) != digest
    other = replace(grid, points=[replace(grid.points[0], stage="0" * 64), *grid.points[1:]])
    assert projection_digest(other, records.record) != digest


def test_knowing_that_all_is_tracked_needs_no_mlflow() -> None:
    code = (
        "import sys; import pipeline.engine.tracking.digest; "
        "print(sorted({'mlflow', 'torch', 'ray', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_driver_whose_folder_was_removed_still_reaches_mlflow(
    uri: str, grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a stopped job's is, which may not have asked MLflow for anything yet."""
    gone = tmp_path / "job"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    not_yet_asked = f"{uri}?timeout=30"
    assert connect(not_yet_asked, grid.name).client.get_experiment_by_name(grid.name) is not None
