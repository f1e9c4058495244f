"""The engine, with its stages, feeds and held masks, makes what the method written straight on makes, bit for bit."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from torch import Tensor, equal

from pipeline.engine.assembly import assemble
from pipeline.engine.driver import RunOptions, run
from pipeline.engine.store import Store
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Point
from pipeline.experiment.loading import load
from pipeline.lottery import data, reference
from pipeline.lottery.determinism import deterministic
from pipeline.lottery.tensor_files import load_weights

SEED, RATE, ROUNDS, REWIND = 2, 0.4, 3, 7


class Silent:
    def planned(self, *_: object) -> None: ...
    def followed(self, *_: object) -> None: ...
    def said(self, message: str) -> None:
        raise AssertionError(message)


def grid_of(model: str) -> dict[str, object]:
    training = {"optimizer": {"name": "sgd", "momentum": 0.9}, "batch_size": 64, "length": "2ep", "augment": "none"}
    return {
        **{"name": "reference", "model": model, "seeds": [SEED], "tickets": ["winning"], "targets": "same"},
        "training": training | {"lr_decay": {"at": ["1ep"], "factor": 0.1}},
        "prune": {"rate": RATE, "rounds": ROUNDS, "rewind": f"{REWIND}it"},
        "sources": [
            {"name": name, "dataset": {"name": "digits", "classes": classes}}
            for name, classes in (("first", [0, 1, 2, 3, 4]), ("second", [9, 5, 8, 6]))
        ],
        "retention": {"chains": "weights", "evaluations": "weights"},
    }


def assert_bits(ours: Mapping[str, Tensor], other: Mapping[str, Tensor], what: Point) -> None:
    assert set(ours) == set(other), what
    for name, value in other.items():
        assert equal(ours[name], value), (what, name)


@pytest.mark.parametrize("model", ["lenet-24-16", "convnet-4"])
def test_the_engine_makes_what_the_method_makes(model: str, tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(yaml.safe_dump(grid_of(model)))
    grid, store = expand(load(file), tmp_path), Store(str(tmp_path / "store"))
    assert run(grid, RunOptions(store.uri, tmp_path, local=True), Silent()).exit_code == 0

    deterministic()
    of = {point.target: grid.stages[point.stage].training.configuration for point in grid.points}
    images = {name: data.load(configuration.data, tmp_path) for name, configuration in of.items()}
    tickets = {
        source: list(reference.winning_tickets(of[source], images[source], SEED, RATE, ROUNDS, REWIND)) for source in of
    }
    for point in (point for point in grid.points if point.ticket == "winning"):
        mask, weights, trained = tickets[point.source][point.round - 1]
        there = of[point.target], images[point.target]
        made, network = assemble(grid, point, store), reference.fresh(there[0], SEED)
        assert_bits(made.mask, mask, point)
        if point.source == point.target:
            assert_bits(made.weights, weights, point)
            network.load_state_dict(trained)
        else:
            network = reference.transferred(mask, weights, *there, SEED, point.round)
        assert_bits(load_weights(store.read(point.stage, "final")), network.state_dict(), point)
        record = store.record(point.stage)
        assert record is not None
        assert record["summary"]["test_accuracy"] == reference.evaluate(network, images[point.target])
