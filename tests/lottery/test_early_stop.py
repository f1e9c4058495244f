"""Weights of the smallest validation loss: theta_S of Mehta 2019, section 2; the first of equals, never a NaN."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.lottery.checkpoint import Checkpoint
from pipeline.lottery.data import Images, load
from pipeline.lottery.hooks import Hooks, Interrupted
from pipeline.lottery.training import Trained, train
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.training import Train

DIGITS = {"name": "digits", "per_class": 20, "validation": 60}  # 140 images to train on: 5 iterations an epoch
FIELDS: dict[str, Any] = {
    "model": {"name": "lenet", "hidden": [32, 16]},
    "input": [1, 8, 8],
    "classes": 10,
    "data": DIGITS,
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
    "batch_size": 32,
    "iterations": 60,
    "record_every": 5,
    "seed": 0,
    "round": 0,
}
RECORDS = range(5, 61, 5)
COUNTING = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.head = nn.Linear(64, classes)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, images):
        self.steps += self.training
        outputs = self.head(images.flatten(1))
        lost = not self.training and len(images) == 60 and self.steps <= LOST
        return outputs * float("nan") if lost else outputs
"""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def images() -> Images:
    return load(DataSet.from_fields(DIGITS), Path())


@pytest.fixture(scope="module")
def whole(images: Images) -> Trained:
    """Uninterrupted, with the weights of every record."""
    return train(Train.from_fields(FIELDS), {}, images, capture=frozenset(RECORDS), early_stop=True)


def assert_equal(one: dict[str, Tensor] | None, other: dict[str, Tensor] | None) -> None:
    assert one is not None and other is not None
    assert list(one) == list(other), "also the order: the bytes of a file follow it"
    for name in one:
        assert torch.equal(one[name], other[name]), name


def validation_loss(state: dict[str, Tensor], images: Images) -> float:
    """Of the network written out, in double precision."""
    assert images.validation is not None
    pixels, labels = images.validation
    outputs = ((torch.as_tensor(pixels).double() / 255 - images.mean.item()) / images.std.item()).flatten(1)
    for name in ("fc1", "fc2", "head"):
        outputs = outputs @ state[f"{name}.weight"].double().T + state[f"{name}.bias"].double()
        outputs = outputs if name == "head" else outputs.relu()
    return F.cross_entropy(outputs, labels).item()


def test_they_are_those_of_the_record_whose_validation_loss_is_the_smallest(whole: Trained, images: Images) -> None:
    losses = {iteration: validation_loss(state, images) for iteration, state in whole.captured.items()}
    best = min(losses, key=lambda iteration: losses[iteration])
    assert losses[5] > losses[10] > losses[best] < losses[60] and best > 10, "it falls more than once, and rises"
    assert_equal(whole.early_stop, whole.captured[best])
    assert whole.summary["early_stop"]["iteration"] == best
    assert whole.early_stop is not None and whole.final is not None
    assert not any(torch.equal(whole.early_stop[name], whole.final[name]) for name in whole.final)


def test_asking_for_them_changes_nothing_else(whole: Trained, images: Images) -> None:
    plain = train(Train.from_fields(FIELDS), {}, images)
    assert (plain.history, plain.summary) == (whole.history, whole.summary)
    assert_equal(plain.final, whole.final)
    assert plain.early_stop is None
    alone = train(Train.from_fields(FIELDS), {}, images, early_stop=True)
    assert alone.captured == {}
    assert_equal(alone.early_stop, whole.early_stop)


def stopped_after(iteration: int, images: Images, **options: Any) -> Checkpoint:
    """The checkpoint of a run that is stopped after `iteration` iterations, through its bytes."""
    kept: list[bytes] = []
    asked = iter(range(1, FIELDS["iterations"]))
    hooks = Hooks(should_stop=lambda: next(asked) == iteration, checkpoint=lambda it: kept.append(it.to_bytes()))
    with pytest.raises(Interrupted):
        train(Train.from_fields(FIELDS), {}, images, hooks=hooks, **options)
    return Checkpoint.from_bytes(kept[0])


@pytest.mark.parametrize("iteration", [3, 5, 17, 20, 38, 59])
def test_a_resumed_run_has_the_same(iteration: int, whole: Trained, images: Images) -> None:
    checkpoint = stopped_after(iteration, images, early_stop=True)
    assert len(checkpoint.captured) == (iteration >= 5), "no others are carried along"
    resumed = train(Train.from_fields(FIELDS), {}, images, early_stop=True, resume=checkpoint)
    assert_equal(resumed.early_stop, whole.early_stop)
    assert_equal(resumed.final, whole.final)
    assert resumed.history == whole.history


def test_a_checkpoint_of_a_run_that_did_not_keep_them_is_passed_over(whole: Trained, images: Images) -> None:
    begun: list[int] = []

    def resumed(checkpoint: Checkpoint) -> Trained:
        hooks = Hooks(progress=lambda iteration, record: begun.append(iteration) if record else None)
        return train(Train.from_fields(FIELDS), {}, images, early_stop=True, resume=checkpoint, hooks=hooks)

    for interrupted, first in ((38, 5), (3, 5)):
        begun.clear()
        assert_equal(resumed(stopped_after(interrupted, images)).early_stop, whole.early_stop)
        assert begun[0] == first
    begun.clear()
    by_iteration = stopped_after(38, images, capture=frozenset({whole.summary["early_stop"]["iteration"]}))
    assert_equal(resumed(by_iteration).early_stop, whole.early_stop)
    assert begun[0] == 40, "it had the weights under another name"


def counting(folder: Path, lost: int, **changes: Any) -> tuple[dict[str, Any], Path]:
    """A network that does not learn, but counts its steps; until `lost` its validation loss is NaN."""
    file = folder / "net.py"
    file.write_text(COUNTING.replace("LOST", str(lost)))
    model = {"name": "user", "class": "Net", "source": hashlib.sha256(file.read_bytes()).hexdigest()}
    return {**FIELDS, "model": model, "optimizer": {"name": "sgd", "lr": 1e-30}, **changes}, file


@pytest.mark.parametrize(("lost", "expected"), [(0, 5), (9, 10), (29, 30)])
def test_of_equal_losses_the_first_counts_and_a_loss_that_is_nan_never(
    lost: int, expected: int, images: Images, tmp_path: Path
) -> None:
    fields, file = counting(tmp_path, lost)
    trained = train(Train.from_fields(fields), {}, images, early_stop=True, model_file=file)
    losses = [record["validation_loss"] for record in trained.history]
    assert losses.count(None) == lost // 5 and len({loss for loss in losses if loss is not None}) == 1
    assert trained.status == "ok" and trained.early_stop is not None
    assert trained.early_stop["steps"] == expected


def test_without_a_finite_validation_loss_there_are_none_and_the_error_says_so(images: Images, tmp_path: Path) -> None:
    fields, file = counting(tmp_path, lost=60)
    with pytest.raises(ValueError, match=r"none of 12 records has a finite one\. Let the ticket start from the final"):
        train(Train.from_fields(fields), {}, images, early_stop=True, model_file=file)
    assert train(Train.from_fields(fields), {}, images, model_file=file).status == "ok"


def test_without_validation_images_the_run_does_not_begin() -> None:
    plain = load(DataSet("digits", per_class=20), Path())
    with pytest.raises(ValueError, match="no images are held out: set validation"):
        train(Train.from_fields(FIELDS), {}, plain, early_stop=True)


def test_a_training_that_diverges_leaves_none(images: Images) -> None:
    fields = {**FIELDS, "lr_decay": {"at": [22], "to": [1e30]}}
    trained = train(Train.from_fields(fields), {}, images, early_stop=True)
    assert trained.status == "diverged" and len(trained.history) > 3
    assert trained.early_stop is None and trained.final is None


def test_streamed_images_give_the_same_bits(whole: Trained) -> None:
    streamed = load(DataSet.from_fields(DIGITS), Path(), images="streaming")
    assert not isinstance(streamed.train_x, Tensor)
    assert_equal(train(Train.from_fields(FIELDS), {}, streamed, early_stop=True).early_stop, whole.early_stop)
