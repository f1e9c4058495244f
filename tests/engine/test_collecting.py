"""Space is freed: what nobody needs, what a budget takes, and what neither kills nor drivers at work may cost."""

import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine import collecting
from pipeline.engine.archive import adding, reading, writing
from pipeline.engine.driver import RunOptions, run
from pipeline.engine.experiments import GRIDS, publish, remember
from pipeline.engine.presence import Presence
from pipeline.engine.store import Store
from pipeline.engine.store.drivers import DriverStatus
from pipeline.engine.usage import usage
from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load
from pipeline.experiment.planning import plan

WEIGHTS = ["name=weights", "training.optimizer.lr=0.05", "retention={evaluations: weights, chains: weights}"]


@pytest.fixture(scope="module")
def weights(small_file: Path) -> Grid:
    """Another experiment, which keeps all weights and shares no stage with the small one."""
    return expand(load(small_file, WEIGHTS))


@pytest.fixture(scope="module")
def both_ran(
    uninterrupted: Path, weights: Grid, run_locally: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("both") / "store"
    shutil.copytree(uninterrupted, folder)
    run_locally(weights, folder)
    return folder


@pytest.fixture
def both(both_ran: Path, tmp_path: Path) -> Path:
    shutil.copytree(both_ran, tmp_path / "both")
    return tmp_path / "both"


def collect(folder: Path, budget: int | None = None, keep: tuple[str, ...] = ()) -> collecting.Sweep:
    store = Store(str(folder))
    with collecting.collecting(store) as others:
        found = collecting.sweep(store, others, budget, keep)
        collecting.remove(store, found.removals)
    return found


def size_of(folder: Path) -> int:
    return usage(Store(str(folder))).total


def forget(folder: Path, name: str) -> None:
    store = Store(str(folder))
    for document in store.documents.names(GRIDS):
        if document.startswith(f"{name}@"):
            store.documents.delete(f"{GRIDS}/{document}")


def test_a_store_of_finished_experiments_has_nothing_to_collect(both: Path) -> None:
    assert not collect(both).removals


def test_what_is_of_no_experiment_goes_whole_and_what_is_stays(
    both: Path, small: Grid, weights: Grid, results_of: Callable[..., Any], expected: dict[str, Any]
) -> None:
    forget(both, "weights")
    before = size_of(both)
    found = collect(both)
    assert {removal.key for removal in found.removals} == weights.stages.keys() - small.stages.keys()
    assert results_of(both) == expected
    assert not list(Store(str(both)).verify())
    index = 2_000  # of other records now
    assert before - found.size - index <= size_of(both) <= before - found.size + index
    assert {folder.name for folder in (both / "outputs").iterdir()} <= small.stages.keys()


def test_usage_tells_whose_bytes_are_whose(both: Path, small: Grid, weights: Grid, small_file: Path) -> None:
    found = usage(Store(str(both)))
    assert found.total == sum(file.stat().st_size for file in both.rglob("*") if file.is_file())
    assert set(found.own) == {"small", "weights"} and not any(found.shared.values()) and not found.unclaimed
    assert found.own["weights"]["weights"] > found.own["small"]["weights"] > 0
    assert found.stages == {"small": len(small.stages), "weights": len(weights.stages)}
    remember(Store(str(both)), expand(load(small_file, ["name=again", "seeds=[0, 1]"])))
    shared = usage(Store(str(both)))
    assert shared.own["small"] == {} and shared.shared["small"] == shared.shared["again"] == found.own["small"]
    forget(both, "weights")
    assert usage(Store(str(both))).unclaimed == found.own["weights"]


def test_what_costs_the_fewest_seconds_a_byte_goes_first_and_the_budget_is_kept_to_within_one_output(
    both: Path, weights: Grid
) -> None:
    shutil.rmtree(both / "index")  # a copy of records, of those that are two seconds old: none of what is counted here
    before = size_of(both)
    budget = before * 3 // 4
    found = collect(both, budget)
    assert found.over == 0
    shutil.rmtree(both / "index", ignore_errors=True)
    largest = max(removal.size for removal in found.removals)
    assert budget - largest <= size_of(both) <= budget, (before, budget, size_of(both))
    store = Store(str(both))
    snapshot = store.snapshot()
    gone = {(removal.key, name): removal for removal in found.removals for name in removal.outputs}
    dearest = max(removal.seconds / removal.size for removal in found.removals)
    left = [
        record["seconds"] / entry["size"]
        for key in snapshot
        if (record := snapshot.record(key)) is not None
        for entry in record["outputs"].values()
        if "path" in entry
    ]
    cheaper = sum(cost < dearest for cost in left)
    assert gone and cheaper <= len(left) // 4, "but for those that the last one left room for"
    assert not list(store.verify())
    for key in (removal.key for removal in found.removals):
        assert snapshot.status(key) == "ok", "results stay"


def test_a_budget_takes_nothing_from_what_is_kept_or_published_and_says_what_is_left(both: Path, small: Grid) -> None:
    publish(Store(str(both)), "small")
    before = plan(small, Store(str(both)).snapshot()).to_run
    found = collect(both, 1, keep=("weights",))
    assert not found.removals and found.over == found.total - 1
    assert found.protected == {"small": "published", "weights": "--keep"}
    assert collect(both, 1).removals
    assert plan(small, Store(str(both)).snapshot()).to_run == before == {}
    with pytest.raises(UserError, match=r"--keep other: there is no such experiment .* there are small, weights"):
        collect(both, 1, keep=("other",))


def test_a_run_makes_again_what_a_budget_took(
    both: Path, small: Grid, run_locally: Callable[..., Any], results_of: Callable[..., Any], expected: dict[str, Any]
) -> None:
    assert collect(both, size_of(both) // 2).removals
    run_locally(small, both)
    found = results_of(both)
    assert {key: found[key] for key in expected} == expected


def test_who_works_on_what_is_known_is_left_alone_and_who_is_not_known_stops_all(both: Path, weights: Grid) -> None:
    store = Store(str(both))
    document = remember(store, weights)
    with Presence(store, "busy", lambda: DriverStatus(experiment="weights", documents=[document])):
        found = collect(both, 1)
        assert found.removals and not {removal.key for removal in found.removals} & weights.stages.keys()
        assert found.protected == {"weights": "busy works on it"}
    starting = Presence(store, "starting", lambda: DriverStatus(experiment="new"))
    with starting, pytest.raises(UserError, match=r"starting works on new, of which the store does not know yet"):
        collect(both, 1)
    assert collect(both, 1).removals


def test_two_collections_do_not_work_at_once(both: Path) -> None:
    store = Store(str(both))
    with collecting.collecting(store), pytest.raises(UserError, match=r"Another `tickets gc` is at work"):
        collect(both)
    assert not collect(both).removals


@pytest.mark.parametrize("who", ["a driver", "an import"])
def test_drivers_and_imports_wait_for_a_collection(
    who: str, both: Path, small: Grid, weights: Grid, quiet: type[Any], tmp_path: Path
) -> None:
    writing.write(weights, Store(str(both)), str(tmp_path / "a.zip"))
    listener = quiet()

    def work() -> None:
        if who == "a driver":
            run(small, RunOptions(str(both), Path("data"), local=True), listener)
            return
        with reading.opened(tmp_path / "a.zip") as archive:
            adding.add(archive, Store(str(both)), listener.said)

    thread = threading.Thread(target=work)
    with collecting.collecting(Store(str(both))):
        thread.start()
        deadline = time.monotonic() + 60
        while not listener.messages and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "Waiting for `tickets gc`" in listener.messages[0] and thread.is_alive() and not listener.plans
    thread.join(60)
    assert not thread.is_alive()


KILLED = """
import sys, time
from pipeline.engine import collecting
from pipeline.engine.store import Store
store = Store(sys.argv[1])
def slowly(change):
    return lambda *given, **more: (print("file", flush=True), time.sleep(0.002), change(*given, **more))[-1]
store.folder.delete, store.folder.write = slowly(store.folder.delete), slowly(store.folder.write)
with collecting.collecting(store) as others:
    collecting.remove(store, collecting.sweep(store, others, int(sys.argv[2]), []).removals)
"""


def test_killed_collections_cost_nothing_that_a_plan_needs(
    both: Path, small: Grid, weights: Grid, results_of: Callable[..., Any], run_locally: Callable[..., Any]
) -> None:
    """The budget takes from one experiment; the other one is published."""
    publish(Store(str(both)), "small")
    whole, chance = results_of(both), random.Random(0)
    for _ in range(8):
        budget = size_of(both) - 20_000
        command = [sys.executable, "-c", KILLED, str(both), str(budget)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(chance.randint(1, 30)):
            process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
        store = Store(str(both))
        assert not [problem for problem in store.verify() if problem.severity == "error"]
        assert not plan(small, store.snapshot()).to_run
    run_locally(weights, both)
    assert results_of(both) == whole


def test_two_drivers_at_work_and_collections_beside_them_come_to_the_same_results(
    small_file: Path,
    tmp_path: Path,
    start: Callable[..., Any],
    results_of: Callable[..., Any],
    expected: dict[str, Any],
) -> None:
    store = tmp_path / "store"
    drivers = [start("--local"), start("--local", "--set", "name=twin")]
    collections, refusals = 0, 0
    while any(driver.poll() is None for driver in drivers):
        try:
            collect(store)
            collections += 1
        except UserError:
            refusals += 1
        time.sleep(0.2)
    assert [driver.wait() for driver in drivers] == [0, 0]
    assert collections + refusals > 2
    assert results_of(store) == expected
    assert not [problem for problem in Store(str(store)).verify() if problem.severity == "error"]


def test_foreign_files_and_damaged_marks_take_nothing_that_is_protected(both: Path, small: Grid) -> None:
    store = Store(str(both))
    publish(store, "small")
    (both / "documents" / "published" / "small.json").write_bytes(b"damaged")
    for area in ("done", "outputs"):
        (both / area / ".DS_Store").write_bytes(b"x")
    forget(both, "weights")
    found = collect(both, 1)
    assert found.removals and not {removal.key for removal in found.removals} & small.stages.keys()
    assert not plan(small, store.snapshot()).to_run


def test_a_collection_that_was_stopped_for_a_while_removes_nothing_more(
    both: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its heartbeat was silent: a driver may have begun that needs what was to go."""
    forget(both, "weights")
    now = iter(range(0, 10_000, 40))
    monkeypatch.setattr("pipeline.engine.collecting.time.time", lambda: float(next(now)))
    before = len(list((both / "done").iterdir()))
    with pytest.raises(UserError, match=r"was stopped for a while"):
        collect(both)
    assert len(list((both / "done").iterdir())) == before
