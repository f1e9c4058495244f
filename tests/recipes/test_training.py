"""What a training cannot be is refused when its recipe is made."""

from typing import Any

import pytest

from pipeline.recipes.schedule import LrDecay, Schedule
from pipeline.recipes.training import Train

REFERENCE = {"stage": "0" * 64, "output": "mask"}
FIELDS: dict[str, Any] = {
    "model": {"name": "lenet", "hidden": [32, 16]},
    "input": [1, 8, 8],
    "classes": 10,
    "data": {"name": "digits"},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "batch_size": 128,
    "iterations": 24,
    "record_every": 12,
    "seed": 0,
    "round": 0,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": {"name": "lion", "lr": 0.1}}, "sgd, adam"),
        ({"optimizer": {"name": "sgd", "lr": 0.1, "beta": 0.9}}, "beta"),
        ({"optimizer": {"name": "sgd", "lr": -0.1}}, "lr: -0.1 must be a number above 0"),
        ({"precision": "fp8"}, "bf16"),
        ({"channels_last": "yes"}, "channels_last: 'yes' is not what it should be, bool"),
        ({"optimizer": {"name": "sgd", "lr": "0.1"}}, "lr: '0.1' is not what it should be, float"),
        ({"classes": True}, "classes: True"),
        ({"input": [1, 8]}, "input: "),
        ({"model": {"name": "lenet", "hidden": []}}, "hidden: .* must have 1 to 100 items"),
        ({"data": ["digits"]}, "no mapping but list"),
        ({"first_iteration": 24}, "from iteration 24 to 24 has no iterations"),
        ({"batch_size": 0}, "batch_size: 0"),
        ({"seed": "1"}, "seed: '1'"),
        ({"model": {"name": "convnett", "width": 16}}, "Did you mean 'convnet'"),
        ({"model": {"name": "lenet", "initialization": {"name": "zeros"}}}, "no initialization 'zeros'"),
        ({"data": {"name": "digits", "half": "c"}}, "'c' must be one of a, b"),
        ({"data": {"name": "digits", "per_class": 0}}, "per_class: 0"),
        ({"augment": {"crop": 4, "resized_crop": True}}, "cannot go with a resized crop"),
        ({"start": {"mask": REFERENCE, "control": {"mask": "preserved"}}}, "they lack weights"),
        ({"start": {"mask": REFERENCE, "control": {"mask": "permuted", "weights": "kept"}}}, "'permuted'"),
        ({"start": {"mask": REFERENCE, "control": {"mask": "preserved", "weights": "fresh"}}}, "'fresh'"),
        ({"start": {"control": {"mask": "permuted-globally", "weights": "redrawn"}}}, "count of survivors"),
        ({"start": {"survivors": 5}}, "they lack control"),
        ({"start": {"survivors": 5, "control": {"mask": "preserved", "weights": "kept"}}}, "needs the ticket's mask"),
        (
            {"start": {"survivors": 5, "control": {"mask": "permuted-globally", "weights": "shuffled"}}},
            "needs the ticket's mask",
        ),
        ({"start": {"mask": {}}}, "of reference cannot be {}: they lack stage, output"),
        ({"start": {"mask": REFERENCE, "heads": "redraw"}}, "heads"),
    ],
    ids=str,
)
def test_what_cannot_be_trained_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Train.from_fields(FIELDS | changes)


def test_the_learning_rate_falls_with_the_iteration_that_follows_a_milestone() -> None:
    decay = LrDecay((2, 4), factor=0.5)
    assert [decay.rate(1.0, done) for done in range(6)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert Train.from_fields(FIELDS).configuration.learning_rate(23) == 0.1
    given = LrDecay((2, 4), to=(0.3, 0.01))
    assert [given.rate(1.0, done) for done in range(6)] == [1, 1, 0.3, 0.3, 0.01, 0.01]


def test_a_schedule_of_no_iterations_evaluates() -> None:
    assert Schedule(8, iterations=0, record_every=0).fields() == {"batch_size": 8, "iterations": 0, "record_every": 0}
    with pytest.raises(ValueError, match="record_every: 0"):
        Schedule(8, iterations=1, record_every=0)
