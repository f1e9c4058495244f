"""Validation images: held out of training, never test images; and where early stopping would end a training."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.lottery.data import DataError, Images, load
from pipeline.lottery.history import Record
from pipeline.lottery.summary import early_stop
from pipeline.lottery.training import train
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.training import Train

NOWHERE = Path("no-data-root-is-needed")
FIELDS: dict[str, Any] = {
    "kind": "train",
    "recipe": 1,
    "model": {"name": "lenet", "hidden": [16]},
    "input": [1, 8, 8],
    "classes": 10,
    "data": {"name": "digits", "validation": 200},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "batch_size": 64,
    "iterations": 40,
    "record_every": 10,
    "seed": 0,
    "round": 0,
}


def digits(**fields: Any) -> Images:
    return load(DataSet("digits", **fields), NOWHERE)


def resident(pixels: object) -> Tensor:
    """Of a small set: all in memory."""
    assert isinstance(pixels, Tensor)
    return pixels


def rows(pixels: Any, labels: torch.Tensor) -> list[bytes]:
    return [x.numpy().tobytes() + bytes([y]) for x, y in zip(pixels, labels.tolist(), strict=True)]


def test_held_out_images_are_training_images_that_are_not_trained_on_and_test_images_stay() -> None:
    whole, split = digits(), digits(validation=200)
    assert split.validation is not None
    trained, held = rows(split.train_x, split.train_y), rows(*split.validation)
    assert len(held) == 200 and len(trained) == len(whole.train_y) - 200
    assert sorted(trained + held) == sorted(rows(whole.train_x, whole.train_y))
    assert torch.equal(resident(split.test_x), resident(whole.test_x)) and torch.equal(split.test_y, whole.test_y)


def test_the_same_images_are_held_out_every_time_and_statistics_are_of_the_others() -> None:
    one, other = digits(validation=200), digits(validation=200)
    assert one.validation is not None and other.validation is not None
    assert torch.equal(resident(one.validation[0]), resident(other.validation[0]))
    pixels = resident(one.train_x).double() / 255
    assert one.mean.item() == pytest.approx(pixels.mean().item(), rel=1e-5)


def test_they_are_held_out_of_what_the_other_options_choose() -> None:
    split = digits(classes=[3, 5], per_class=100, validation=50)
    assert split.validation is not None
    assert (len(split.train_y), len(split.validation[1])) == (150, 50)
    assert set(split.validation[1].tolist()) == {0, 1}


def test_validation_is_measured_at_each_record_and_changes_nothing_of_the_training() -> None:
    images = digits(validation=200)
    measured = train(Train.from_fields(FIELDS), {}, images)
    without = train(Train.from_fields(FIELDS), {}, Images(**{**vars(images), "validation": None}))
    assert measured.final is not None and without.final is not None
    for name, value in measured.final.items():
        assert torch.equal(value, without.final[name])
    keys = ("train_loss", "test_loss", "test_accuracy")
    assert [[r[k] for k in keys] for r in measured.history] == [[r[k] for k in keys] for r in without.history]
    assert all("validation_loss" not in record for record in without.history)
    assert "early_stop" not in without.summary
    held = images.validating
    assert held is not None
    retested = train(Train.from_fields(FIELDS), {}, held)
    assert [r["test_loss"] for r in retested.history] == [r["validation_loss"] for r in measured.history]


def test_early_stop_is_the_first_record_with_the_smallest_validation_loss() -> None:
    losses = [0.9, 0.4, 0.6, 0.4, None]
    history: list[Record] = [
        {"iteration": 10 * n, "epoch": n, "validation_loss": loss, "validation_accuracy": 0.5, "test_loss": 1.0,
         "test_accuracy": n / 10, "train_loss": 1.0}
        for n, loss in enumerate(losses)
    ]  # fmt: skip
    found = early_stop(history)
    assert found is not None
    assert (found["iteration"], found["test_accuracy"]) == (10, 0.1)
    assert early_stop(history[:1]) is None, "one record is no minimum"
    assert early_stop([*history, {**history[0], "train_loss": None}]) is None, "it diverged"
    assert early_stop([{"iteration": 1, "train_loss": 0.1, "test_loss": 0.1}] * 2) is None


def test_choices_that_overlap_hold_out_the_same_images_first() -> None:
    """Of two classes a fifth of the images, and as many as that of the whole set: what both hold out is the same."""
    whole, part = digits(validation=288), digits(classes=[3, 5], validation=58)
    assert whole.validation is not None and part.validation is not None
    pixels = {row[:-1] for row in rows(*whole.validation)}
    common = sum(row[:-1] in pixels for row in rows(*part.validation))
    assert common > 45, "held out independently it would be a dozen"


def test_images_may_be_seen_as_they_are() -> None:
    plain = digits(normalized=False)
    assert (plain.mean.item(), plain.std.item()) == (0, 1)
    assert torch.equal(resident(plain.train_x), resident(digits().train_x))


def test_more_images_than_there_are_cannot_be_held_out() -> None:
    with pytest.raises(DataError, match="validation: 1,442 images cannot be held out of 1,442"):
        digits(validation=1442)
