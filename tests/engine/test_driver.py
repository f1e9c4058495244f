"""What a run does beside its stages: failures, divergence, retention, extension, what it refuses."""

import os
import pickle
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from pipeline.engine import driver
from pipeline.engine.lanes.events import Retried
from pipeline.engine.store import MissingOutput, Store
from pipeline.engine.store.claims import Claims
from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load
from pipeline.lottery.masks import next_mask

Run = Callable[..., Any]


@pytest.fixture
def grid(small_file: Path) -> Callable[..., Grid]:
    return lambda *overrides: expand(load(small_file, list(overrides)), "data")


def outputs_there(store: Path) -> dict[str, set[str]]:
    """Outputs that can be read, by the label of their stage."""
    snapshot = Store(str(store)).snapshot()
    records = [record for key in snapshot if (record := snapshot.record(key)) is not None]
    return {
        record["label"]: {name for name in record["outputs"] if snapshot.available(record["key"], name)}
        for record in records
    }


def test_a_chain_keeps_its_tickets_and_evaluations_keep_metrics_only(
    tmp_path: Path, small: Grid, run_locally: Run
) -> None:
    run_locally(small, tmp_path)
    there = outputs_there(tmp_path)
    assert there["low seed 0 dense"] == {"history", "it23"}
    assert there["low seed 0 round 1"] == {"history"}
    assert there["low seed 0 round 3"] == {"history", "final"}, "so that the chain can be extended"
    assert there["winning low -> high seed 0 round 1"] == {"history"}
    assert {name for label, names in there.items() if "prune" in label for name in names} == {"mask"}


def test_an_extended_grid_runs_only_what_is_new(tmp_path: Path, small: Grid, run_locally: Run, grid: Any) -> None:
    run_locally(small, tmp_path)
    longer, _ = run_locally(grid("prune.rounds=4"), tmp_path)
    # For each source one pruning and one training of the chain, one transfer; one random ticket for each target.
    assert longer.ran == 2 * (1 + 1 + 1 + 1) and longer.cached == len(small.stages)
    again, listener = run_locally(small, tmp_path)
    assert again.ran == 0 and listener.plans[-1].to_run == {}


def test_a_diverged_source_is_a_result_and_what_descends_from_it_is_missing_but_the_rest_goes_on(
    tmp_path: Path, run_locally: Run, grid: Any
) -> None:
    wild = grid("sources=[{name: low, dataset: {name: digits, classes: [0, 1]}, training: {optimizer: {lr: 1.0e+9}}},"
                " {name: high, dataset: {name: digits, classes: [5, 6]}}]")  # fmt: skip
    summary, _ = run_locally(wild, tmp_path)
    assert summary.exit_code == 0 and summary.diverged > 0 and summary.skipped
    snapshot = Store(str(tmp_path)).snapshot()
    points = {(point.source, point.target, point.ticket, point.round): point.stage for point in wild.points}
    assert snapshot.status(points["low", "low", "winning", 1]) is None
    assert snapshot.status(points["high", "high", "winning", 3]) == "ok"
    again, _ = run_locally(wild, tmp_path)
    assert again.ran == 0 and again.exit_code == 0 and len(again.blocked) == len(summary.skipped)


def test_a_stage_that_fails_is_retried_its_descendants_skipped_and_the_exit_code_says_so(
    tmp_path: Path, small: Grid, run_locally: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipeline.engine.execute as execute

    calls: list[str] = []
    original = next_mask

    def fail_on_high(*arguments: Any) -> Any:
        calls.append("prune")
        if len(calls) <= 4:  # two chains, two attempts each
            raise RuntimeError("no such luck")
        return original(*arguments)

    monkeypatch.setattr(execute, "next_mask", fail_on_high)
    summary, listener = run_locally(small, tmp_path)
    assert summary.exit_code == 1 and len(summary.failed) == 2 and len(summary.skipped) > 2
    assert sum(isinstance(event, Retried) for event in listener.events) == 2
    assert "no such luck" in listener.text
    mended, _ = run_locally(small, tmp_path)
    assert mended.exit_code == 0 and Store(str(tmp_path)).snapshot().status(small.points[0].stage) == "ok"


def test_fail_fast_stops_at_the_first_failure(
    tmp_path: Path, small: Grid, run_locally: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipeline.engine.execute as execute

    def fail(*arguments: Any) -> Any:
        raise RuntimeError("at once, by s3://AKIA:SECRET@bucket/store")

    monkeypatch.setattr(execute, "next_mask", fail)
    summary, listener = run_locally(small, tmp_path, fail_fast=True)
    assert len(summary.failed) == 1 and summary.exit_code == 1
    assert summary.ran < len(small.stages) - 10
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"at once, by s3://bucket/store" in kept
    assert "SECRET" not in listener.text + str(listener.events) + str(summary.failed) and b"SECRET" not in kept


def test_results_from_different_hardware_are_warned_of(tmp_path: Path, small: Grid, run_locally: Run) -> None:
    _, listener = run_locally(small, tmp_path)
    assert "different hardware" not in listener.text
    store = Store(str(tmp_path))
    record = store.record(next(iter(small.stages)))
    assert record is not None
    store.discard(record["key"], None)
    store.finish({**record, "hardware": {**record["hardware"], "cpu_capability": "VECTORS"}})
    _, listener = run_locally(small, tmp_path)
    assert "different hardware" in listener.text and "VECTORS" in listener.text


def test_several_workers_a_stage_are_refused_in_one_process_before_anything_runs(
    tmp_path: Path, run_locally: Run, grid: Any
) -> None:
    with pytest.raises(UserError, match="asks for 2 workers, which are as many processes: leave out --local"):
        run_locally(grid("resources.workers=2"), tmp_path)
    assert not list(tmp_path.glob("done/*"))


def test_masks_and_starting_weights_survive_a_change_of_retention(tmp_path: Path, run_locally: Run, grid: Any) -> None:
    """What one experiment keeps is not collected by another that shares the store."""
    run_locally(grid("retention.chains=weights"), tmp_path)
    before = outputs_there(tmp_path)
    assert "final" in before["low seed 0 round 1"]
    run_locally(grid(), tmp_path)
    assert outputs_there(tmp_path) == before


def test_a_store_that_cannot_delete_for_a_moment_costs_neither_the_run_nor_a_retry(
    tmp_path: Path, small: Grid, run_locally: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def away(owner: type, what: str) -> None:
        original = getattr(owner, what)

        def fail_at_first(*arguments: Any) -> Any:
            calls.append(what)
            if calls.count(what) <= 2:
                raise OSError("the store is away")
            return original(*arguments)

        monkeypatch.setattr(owner, what, fail_at_first)

    away(Claims, "release")
    away(Store, "collect")
    summary, listener = run_locally(small, tmp_path)
    assert summary.exit_code == 0 and summary.ran == len(small.stages)
    assert not any(isinstance(event, Retried) for event in listener.events)
    assert outputs_there(tmp_path)["low seed 0 round 1"] == {"history"}, "the last sweep made up for it"


def test_fail_fast_makes_no_second_pass_for_lost_inputs(
    tmp_path: Path, small: Grid, run_locally: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipeline.engine.execute as execute

    def fail(stage: Any, *_: Any) -> Any:
        if stage.kind == "prune":
            lost = next(iter(stage.inputs.values()))
            calls.append(stage.key)
            if len(calls) == 1:
                raise MissingOutput(lost.stage, lost.output, "path", "is missing")
            raise RuntimeError("no such luck")
        return original(stage, *_)

    calls: list[str] = []
    original = execute._read_inputs
    monkeypatch.setattr(execute, "_read_inputs", fail)
    summary, listener = run_locally(small, tmp_path, fail_fast=True)
    assert len(calls) == 2 and summary.exit_code == 1 and len(listener.plans) == 1


def test_what_lanes_are_given_tells_no_password(tmp_path: Path) -> None:
    from pipeline.engine.driver import RunOptions, _lanes

    address = "s3://AKIA:SECRET@bucket/store"
    options = RunOptions(address, tmp_path, local=True)
    make = vars(_lanes(options, address, "driver", print, threading.Event()))["_make_work"]
    for given in (make, pickle.loads(pickle.dumps(make))):
        assert "s3://bucket/store" in repr(given) and "SECRET" not in repr(given)
        assert given.store == address


def test_a_run_on_a_copied_store_says_what_it_checks_and_the_next_one_need_not(
    tmp_path: Path, small: Grid, run_locally: Run, uninterrupted: Path
) -> None:
    shutil.copytree(uninterrupted, tmp_path / "store")
    for record in (tmp_path / "store/done").iterdir():
        os.utime(record, (1_000_000_000,) * 2)
    summary, listener = run_locally(small, tmp_path / "store")
    assert summary.ran == 0 and listener.text.count("copied or changed since their records were written") == 1
    assert "Checking" not in run_locally(small, tmp_path / "store")[1].text


def test_a_run_that_no_stage_of_begins_takes_over_no_name(
    tmp_path: Path, small: Grid, run_locally: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As stages that the cluster can never place: these are refused once the lanes are there."""
    lanes = MagicMock()
    lanes.__enter__.return_value.run.side_effect = UserError("no node has so many GPUs")
    with monkeypatch.context() as context:
        context.setattr(driver, "_lanes", lambda *_: lanes)
        with pytest.raises(UserError, match="no node has"):
            run_locally(small, tmp_path)
    assert not Store(str(tmp_path)).documents.names("grids")


def test_a_run_takes_over_its_name_when_its_first_stage_begins(
    tmp_path: Path, small: Grid, run_locally: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report is possible, and failures are remembered, from then on."""
    import pipeline.engine.execute as execute

    remembered: list[list[str]] = []

    def fail(*_: Any) -> Any:
        remembered.append(Store(str(tmp_path)).documents.names("grids"))
        raise RuntimeError("no such luck")

    monkeypatch.setattr(execute, "_read_inputs", fail)
    summary, _ = run_locally(small, tmp_path, fail_fast=True)
    assert summary.exit_code == 1 and len(remembered[0]) == 1
    assert Store(str(tmp_path)).documents.names("failures")
