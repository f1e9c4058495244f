"""Records of trainings, runs without a result, and what results took, read from a real store."""

import json
from typing import Any

import numpy as np
import pytest

from pipeline.engine.driver import RunOptions, run
from pipeline.engine.store import Store
from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load
from pipeline.report.histories import TYPES, histories
from pipeline.report.results import results_table
from pipeline.report.sections.cost import cost
from pipeline.report.sections.unmade import still_skipped, unmade
from pipeline.report.sound_outputs import SoundOutputs

GRID = """
name: small
model: lenet-12-8
seeds: [0, 1]
training: {optimizer: {name: sgd, lr: 0.1}, batch_size: 64, length: 3ep}
prune: {rate: 0.4, rounds: 2, rewind: 5it}
sources: [{name: low, dataset: {name: digits, classes: [0, 1, 2]}}]
targets: same
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, unheard: Any) -> Any:
    folder = tmp_path_factory.mktemp("small")
    (folder / "grid.yaml").write_text(GRID)
    grid, store = expand(load(folder / "grid.yaml")), Store(str(folder / "store"))
    run(grid, RunOptions(store.uri, folder, local=True), unheard)
    return grid, store


def test_every_record_of_every_training_is_a_row(done: Any) -> None:
    grid, store = done
    keys = [point.stage for point in grid.points]
    table = histories(store, keys)
    assert list(table.columns) == list(TYPES)
    assert len(table) == 3 * len(set(keys))
    for key in set(keys):
        rows = table[table["stage"] == key]
        assert list(rows["epoch"]) == [1.0, 2.0, 3.0]
        written = json.loads(store.read(key, "history"))
        np.testing.assert_array_equal(rows["test_accuracy"], [record["test_accuracy"] for record in written])
    last = table.groupby("stage")["test_accuracy"].last()
    results = results_table(grid, store.snapshot()).set_index("stage")["test_accuracy"]
    assert all(last[key] == results[[key]].iloc[0] for key in set(keys))


def test_what_is_known_is_not_read_again(done: Any) -> None:
    grid, store = done
    keys = list(dict.fromkeys(point.stage for point in grid.points))
    known = histories(store, keys[:2])
    read = []

    class Counted:
        def read(self, key: str, output: str, known: object = None) -> Any:
            read.append(key)
            return store.read(key, output)

    table = histories(Counted(), keys, known)
    assert sorted(read) == sorted(keys[2:])
    assert set(table["stage"]) == set(keys) and len(table) == 3 * len(keys)


def test_stages_without_a_history_have_no_rows(done: Any) -> None:
    assert histories(SoundOutputs(done[1]), ["0" * 64]).empty


def test_losses_that_are_not_finite_are_nan() -> None:
    class Diverged:
        def read(self, key: str, output: str, known: object = None) -> Any:
            return json.dumps([{"iteration": 5, "epoch": 1.0, "test_accuracy": 0.1, "test_loss": None}]).encode()

    row = histories(Diverged(), ["a"]).iloc[0]
    assert np.isnan(row["test_loss"]) and row["test_accuracy"] == 0.1


def test_the_cost_is_the_sum_of_the_records(done: Any) -> None:
    grid, store = done
    snapshot = store.snapshot()
    found = cost(grid, snapshot)
    records = [snapshot.record(key) for key in grid.stages]
    assert (found.stages, found.done) == (len(grid.stages), len(grid.stages))
    assert found.trainings + found.prunings == found.stages
    # for each of 2 seeds: rounds 0 to 2 of the chain (the dense network and the winning tickets), 2 prunings, 2 random
    assert found.requested == 2 * (3 + 2 + 2) == found.stages
    assert found.lane_hours == pytest.approx(sum(record["seconds"] for record in records) / 3600)
    by_kind = found.seconds.set_index("kind")
    assert by_kind["stages"].sum() == found.stages
    assert by_kind.loc["prune", "stages"] == found.prunings
    assert found.first == min(record["started"] for record in records)
    assert found.last == max(record["finished"] for record in records)
    assert found.iterations == sum(record["iterations"] for record in records)


def test_the_cost_of_nothing_is_nothing(done: Any) -> None:
    class Empty:
        def done(self, key: str) -> None: ...
        def available(self, key: str, output: str) -> None: ...
        def status(self, key: str) -> None: ...
        def record(self, key: str) -> None: ...

    found = cost(done[0], Empty())
    assert (found.done, found.lane_hours, found.first, found.last) == (0, 0, None, None)


def test_runs_without_a_result_say_why(done: Any) -> None:
    grid, store = done
    results = results_table(grid, store.snapshot())
    assert unmade(results, {}, {}, {}).empty
    keys = results["stage"].unique()
    statuses = dict(zip(keys, ["diverged", "missing", "missing", "missing", "missing"], strict=False))
    changed = results.assign(status=results["stage"].map(lambda key: statuses.get(key, "ok")))
    table = unmade(changed, {keys[1]: "no memory"}, {keys[2]: "a parent failed"}, {keys[3]: "a parent diverged"})
    found = dict(zip(table["stage"], zip(table["status"], table["why"], strict=True), strict=True))
    assert found[keys[0]][0] == "diverged"
    assert found[keys[1]] == ("failed", "no memory")
    assert found[keys[2]] == ("blocked", "a parent failed")
    assert found[keys[3]] == ("blocked", "a parent diverged")
    assert found[keys[4]] == ("missing", "not run yet")


def test_what_was_skipped_is_so_only_while_what_failed_has_no_record(done: Any) -> None:
    grid, _ = done
    pruning = next(key for key, stage in grid.stages.items() if stage.kind == "prune")
    below = [key for key, stage in grid.stages.items() if any(read.stage == pruning for read in stage.inputs.values())]
    other = next(key for key in grid.stages if key != pruning and key not in below)
    skipped = dict.fromkeys([*below, other], "depends on what failed")

    class Without:
        def __init__(self, *keys: Any) -> None:
            self.keys = keys

        def record(self, key: str) -> Any:
            return None if key in self.keys else {}

    lost = Without(pruning, *below, other)
    assert set(still_skipped(grid, skipped, {pruning: "no memory"}, lost)) == set(below)
    made_elsewhere = Without(*below, other)
    assert still_skipped(grid, skipped, {pruning: "no memory"}, made_elsewhere) == {}
