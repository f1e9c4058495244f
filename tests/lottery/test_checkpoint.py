"""A run that was interrupted, at any iteration, ends with the bits of one that was not."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.lottery.checkpoint import Checkpoint
from pipeline.lottery.data import Images, load
from pipeline.lottery.hooks import Hooks, Interrupted
from pipeline.lottery.training import Trained, train
from pipeline.recipes.datasets import DataSet
from pipeline.recipes.training import Train

MASK = {"stage": "0" * 64, "output": "mask"}

DIGITS = {"name": "digits", "per_class": 20}  # 200 images: 7 iterations an epoch at batch 32, the last of 8 images
FIELDS: dict[str, Any] = {
    "kind": "train",
    "recipe": 1,
    "model": {"name": "lenet", "hidden": [16, 8]},
    "input": [1, 8, 8],
    "classes": 10,
    "data": DIGITS,
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
    "batch_size": 32,
    "iterations": 18,
    "record_every": 5,
    "seed": 0,
    "round": 1,
}
CONVNET = {"model": {"name": "convnet", "width": 4}}
ADAM = {"optimizer": {"name": "adam", "lr": 1e-2, "betas": [0.9, 0.99], "weight_decay": 1e-4}}
KINDS: dict[str, dict[str, Any]] = {
    "SGD with momentum, step decay": {"lr_decay": {"at": [4, 11], "factor": 0.1}},
    "Adam, a ticket": ADAM | {"start": {"mask": MASK}},
    "SGD, batch norm, augmentation": CONVNET | {"augment": {"flip": True, "crop": 2}},
    "Adam, batch norm in groups, bfloat16": CONVNET | ADAM | {"norm_batch": 16, "precision": "bf16"},
    "SGD, channels last": CONVNET | {"channels_last": True},
    "the remainder only": {"first_iteration": 3},
}
DROPOUT = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, input_shape, classes):
        super().__init__(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, classes))
"""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def images() -> Images:
    return load(DataSet.from_fields(DIGITS), Path())


def run(fields: dict[str, Any], images: Images, **options: Any) -> Trained:
    generator = torch.Generator().manual_seed(0)
    mask = {
        "fc1.weight": torch.rand(16, 64, generator=generator) < 0.3,
        "fc2.weight": torch.rand(8, 16, generator=generator) < 0.3,
    }
    return train(Train.from_fields(fields), {"mask": mask}, images, **options)


def stopped_after(iteration: int, fields: dict[str, Any], images: Images, **options: Any) -> Checkpoint:
    """The checkpoint of a run that is stopped after `iteration` iterations, through its bytes."""
    kept: list[bytes] = []
    asked = iter(range(fields.get("first_iteration", 0), fields["iterations"]))
    if options.get("resume"):
        asked = iter(range(options["resume"].iteration, fields["iterations"]))
    hooks = Hooks(
        should_stop=lambda: next(asked) + 1 == iteration,
        checkpoint=lambda checkpoint: kept.append(checkpoint.to_bytes()),
    )
    with pytest.raises(Interrupted):
        run(fields, images, hooks=hooks, **options)
    return Checkpoint.from_bytes(kept[0])


def assert_same(one: Trained, other: Trained) -> None:
    assert one.history == other.history
    assert one.summary == other.summary
    assert one.captured.keys() == other.captured.keys()
    assert one.final is not None and other.final is not None
    for state, expected in [(one.final, other.final), *((one.captured[k], other.captured[k]) for k in one.captured)]:
        assert list(state) == list(expected), "also the order: the bytes of a file follow it"
        assert all(torch.equal(state[name], expected[name]) for name in state)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("iteration", [4, 5, 7, 10, 17])
def test_a_resumed_run_equals_an_uninterrupted_one(kind: str, iteration: int, images: Images) -> None:
    fields = FIELDS | KINDS[kind]
    capture = frozenset({4, 12})
    whole = run(fields, images, capture=capture)
    checkpoint = stopped_after(iteration, fields, images, capture=capture)
    assert checkpoint.iteration == iteration
    assert_same(run(fields, images, capture=capture, resume=checkpoint), whole)


def test_a_run_may_be_interrupted_at_every_iteration(images: Images) -> None:
    fields = FIELDS | KINDS["SGD, batch norm, augmentation"]
    checkpoint = None
    for iteration in range(1, fields["iterations"]):
        checkpoint = stopped_after(iteration, fields, images, resume=checkpoint)
    assert_same(run(fields, images, resume=checkpoint), run(fields, images))


def test_what_a_model_draws_by_itself_goes_on_where_it_was(images: Images, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(DROPOUT)
    source = hashlib.sha256(file.read_bytes()).hexdigest()
    fields = FIELDS | {"model": {"name": "user", "class": "Net", "source": source}}
    torch.manual_seed(1)
    whole = run(fields, images, model_file=file)
    checkpoint = stopped_after(6, fields, images, model_file=file)
    torch.manual_seed(2)
    resumed = run(fields, images, model_file=file, resume=checkpoint)
    assert_same(resumed, whole)


def test_checkpoints_along_the_way_change_nothing_and_are_copies(images: Images) -> None:
    kept: list[Checkpoint] = []
    written: list[bytes] = []

    def keep(checkpoint: Checkpoint) -> None:
        kept.append(checkpoint)
        written.append(checkpoint.to_bytes())

    capture = frozenset({0, 2})
    hooks = Hooks(checkpoint_due=lambda: True, checkpoint=keep)
    assert_same(run(FIELDS, images, hooks=hooks, capture=capture), run(FIELDS, images, capture=capture))
    assert [checkpoint.iteration for checkpoint in kept] == list(range(1, 18)), "none at the end, where it is of no use"
    for checkpoint, data in zip(kept, written, strict=True):
        assert checkpoint.to_bytes() == data, "a checkpoint changed while the run went on"


def test_a_checkpoint_without_a_capture_that_is_wanted_by_now_is_passed_over(images: Images) -> None:
    checkpoint = stopped_after(6, FIELDS, images, capture=frozenset({3}))
    wanted = frozenset({2, 3})
    assert_same(run(FIELDS, images, capture=wanted, resume=checkpoint), run(FIELDS, images, capture=wanted))
    fewer = run(FIELDS, images, resume=checkpoint)
    assert fewer.captured == {}


def test_the_same_state_is_the_same_bytes_and_none_of_them_a_pickle(images: Images) -> None:
    one, other = (stopped_after(6, FIELDS, images).to_bytes() for _ in range(2))
    assert one == other
    assert Checkpoint.from_bytes(one).to_bytes() == one
    assert int.from_bytes(one[:8], "little") < len(one) and one[8:9] == b"{", "safetensors"


def damaged(data: bytes) -> Iterator[bytes]:
    yield b""
    yield b"not a checkpoint"
    for share in (0.001, 0.1, 0.5, 0.999):
        yield data[: int(len(data) * share)]
    from safetensors.torch import save

    yield save({"weight": torch.zeros(2)})


def test_damaged_and_foreign_bytes_are_refused(images: Images) -> None:
    for data in damaged(stopped_after(6, FIELDS, images).to_bytes()):
        with pytest.raises(ValueError, match="not a whole checkpoint"):
            Checkpoint.from_bytes(data)


def test_the_checkpoint_of_another_model_is_refused(images: Images) -> None:
    checkpoint = stopped_after(6, FIELDS, images)
    with pytest.raises(ValueError, match=r"fc1\.weight"):
        run(FIELDS | {"model": {"name": "lenet", "hidden": [17, 8]}}, images, resume=checkpoint)
