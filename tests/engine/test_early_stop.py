"""Tickets that start where early stopping would end their source's training, on a real store."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.engine.addresses import Address
from pipeline.engine.assembly import assemble
from pipeline.engine.lanes.leases import Lease
from pipeline.engine.lanes.workplace import Workplace
from pipeline.engine.store import Store
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid, Point
from pipeline.experiment.loading import load
from pipeline.lottery.data import load as load_images
from pipeline.lottery.tensor_files import load_mask, load_weights
from pipeline.lottery.training import train
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.training import Train

GRID = """
name: early
model: {name: convnet, width: 4}
seeds: [0]
training: {optimizer: {name: sgd, lr: 0.1, momentum: 0.9}, batch_size: 32, length: 90it, record_every: 10it}
prune: {rate: 0.5, rounds: 2, rewind: none}
sources: [{name: low, dataset: {name: digits, classes: [0, 1, 2, 3, 4], per_class: 20, validation: 40}}]
targets: [{name: high, dataset: {name: digits, classes: [5, 6, 7, 8, 9], per_class: 20}, training: {length: 10it}}]
tickets: [{name: end, start: final}]
retention: {chains: weights, evaluations: weights}
"""


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> tuple[Grid, Grid]:
    """Without and with tickets that start there."""
    file = tmp_path_factory.mktemp("grid") / "grid.yaml"
    file.write_text(GRID)
    more = "tickets=[{name: end, start: final}, {name: theta-S, start: early-stop}]"
    return expand(load(file), "data"), expand(load(file, [more]), "data")


@pytest.fixture(scope="module")
def store(grids: tuple[Grid, Grid], run_locally: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both grids on one store, the second after the first."""
    folder = tmp_path_factory.mktemp("store")
    plain, more = grids
    assert run_locally(plain, folder)[0].exit_code == 0
    summary, listener = run_locally(more, folder)
    dense = dense_key(more)
    assert summary.exit_code == 0, listener.text
    assert summary.ran == 1 + 2, "the source's training again, for weights that nobody had asked for, and two tickets"
    assert listener.plans[0].reasons[dense].startswith("'early-stop' was not stored")
    assert run_locally(more, folder)[0].ran == 0
    return folder


def dense_key(grid: Grid) -> str:
    return next(key for key, stage in grid.stages.items() if stage.label == "low seed 0 dense")


def theta(grid: Grid, number: int) -> Point:
    return next(point for point in grid.points if (point.ticket, point.round) == ("theta-S", number))


def test_their_weights_are_those_of_the_sources_record_with_the_smallest_loss(
    store: Path, grids: tuple[Grid, Grid]
) -> None:
    grid, kept = grids[1], Store(str(store))
    fields = grid.stages[dense_key(grid)].recipe.fields()
    torch.set_num_threads(1)
    again = train(
        Train.from_fields(fields),
        {},
        load_images(DataSet.from_fields(fields["data"]), Path()),
        capture=frozenset(range(10, 91, 10)),
    )
    losses = {
        int(record["iteration"] or 0): loss
        for record in again.history
        if (loss := record["validation_loss"]) is not None
    }
    best = min(losses, key=lambda iteration: losses[iteration])
    assert 10 < best < 90, "at an end the test shows little"
    stored = load_weights(kept.read(dense_key(grid), "early-stop"))
    for name, value in again.captured[best].items():
        assert torch.equal(stored[name], value), name
    for number in (1, 2):
        point = theta(grid, number)
        assert point.mask is not None
        mask = load_mask(kept.read(point.mask, "mask"))
        ticket = assemble(grid, point, kept)
        for name, value in stored.items():
            if not name.startswith("head."):
                assert torch.equal(ticket.weights[name], value * mask[name] if name in mask else value), name


class After(threading.Event):
    """Set from the `steps`-th time on that it is asked, which is after every iteration."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def is_set(self) -> bool:
        self.left -= 1
        return self.left <= 0


def test_a_source_that_was_stopped_between_records_has_the_same_bytes(
    store: Path, grids: tuple[Grid, Grid], tmp_path: Path
) -> None:
    stage, there = grids[1].stages[dense_key(grids[1])], Store(str(tmp_path))
    there.drivers.beat("driver", {})
    wanted = frozenset({"early-stop", "final", "history"})
    records: list[int] = []

    def attempt(number: int, steps: int) -> Any:
        work = Workplace(Address(there.uri), "data", "driver")(stage.shape, After(steps))
        return work(
            Lease(stage, wanted, frozenset(), "lane", number), lambda at, record: records.append(at) if record else None
        )

    for number, steps in enumerate((13, 31, 29)):  # after 13, 44 and 73 iterations
        outcome = attempt(number + 1, steps)
        assert outcome.kind == "interrupted", outcome.message
    outcome = attempt(4, 1000)
    assert outcome.kind == "done" and outcome.record is not None, outcome.message
    assert records == list(range(10, 91, 10)), "each attempt went on from the checkpoint of the one before"
    whole = Store(str(store)).record(stage.key)
    assert whole is not None
    for output in ("early-stop", "final", "history"):
        assert outcome.record["outputs"][output]["sha256"] == whole["outputs"][output]["sha256"], output
