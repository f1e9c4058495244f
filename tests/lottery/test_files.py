"""Weights and masks as bytes: the same bytes for the same tensors, and damage is noticed."""

import json
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lottery.models import build, initialize
from pipeline.lottery.tensor_files import FormatError, load_mask, load_weights, save_mask, save_weights
from pipeline.recipes.models import model_from

CONVNET = {"name": "convnet", "width": 4}


def state() -> dict[str, torch.Tensor]:
    model = build(model_from(CONVNET), [3, 8, 8], 10)
    initialize(model, 0, model_from(CONVNET))
    return model.state_dict()


def test_a_whole_state_comes_back_bit_for_bit_and_in_order() -> None:
    weights = {
        **state(),
        "half": torch.randn(3).bfloat16(),
        "nothing": torch.zeros(0, 4),
        "nan": torch.tensor(float("nan")),
    }
    back = load_weights(save_weights(weights))
    assert list(back) == list(weights)
    for name, value in weights.items():
        assert back[name].dtype == value.dtype
        assert back[name].shape == value.shape
        assert back[name].reshape(-1).view(torch.uint8).equal(value.reshape(-1).view(torch.uint8))


def test_tied_and_strided_tensors_are_written_by_value() -> None:
    tied = torch.randn(4, 3)
    back = load_weights(save_weights({"a": tied, "b": tied, "t": tied.T}))
    assert torch.equal(back["a"], back["b"])
    assert torch.equal(back["t"], tied.T)
    images = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    assert torch.equal(load_weights(save_weights({"w": images}))["w"], images)


def test_bytes_depend_on_the_tensors_alone() -> None:
    weights = {name: value.clone() for name, value in state().items()}
    mask = {"conv1.weight": weights["conv1.weight"] > 0, "conv2.weight": weights["conv2.weight"] > 0}
    assert len({save_weights(weights) for _ in range(20)}) == 1
    assert len({save_mask(mask) for _ in range(20)}) == 1
    code = (
        "import hashlib, torch; from pipeline.lottery.tensor_files import save_mask;"
        "print(hashlib.sha256(save_mask({'b': torch.arange(99) % 7 < 3, 'a': torch.ones(2, 2).bool()})).hexdigest())"
    )
    hashes = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(hashes) == 1


shapes = st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=4)


@given(shapes, st.integers(0, 2**31))
def test_any_mask_comes_back(sizes: list[list[int]], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    mask = {f"{9 - i}": torch.rand(size, generator=draw) < 0.5 for i, size in enumerate(sizes)}
    back = load_mask(save_mask(mask))
    assert list(back) == list(mask)
    assert all(torch.equal(back[name], kept) and back[name].dtype == torch.bool for name, kept in mask.items())


def test_a_mask_takes_one_bit_a_weight() -> None:
    assert len(save_mask({"w": torch.ones(100, 800).bool()})) < 10_000 + 500


MASK = save_mask({"fc1.weight": torch.arange(400).reshape(20, 20) % 3 == 0})
WEIGHTS = save_weights({"fc1.weight": torch.arange(40.0), "fc1.bias": torch.arange(3.0)})


@given(st.integers(0, len(MASK) - 1))
def test_a_truncated_file_is_refused(length: int) -> None:
    with pytest.raises(FormatError):
        load_mask(MASK[:length])
    with pytest.raises(FormatError):
        load_weights(WEIGHTS[:length])


@given(st.integers(0, len(MASK) - 1), st.integers(1, 255))
def test_a_flipped_byte_never_gives_a_mask_of_another_count(position: int, flip: int) -> None:
    damaged = bytearray(MASK)
    damaged[position] ^= flip
    try:
        mask = load_mask(bytes(damaged))
    except FormatError:
        return
    assert [int(kept.sum()) for kept in mask.values()] == [134]
    assert [kept.shape for kept in mask.values()] == [(20, 20)]


@given(st.binary(max_size=300))
def test_foreign_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        load_weights(data)


def forged(about: object, **tensors: torch.Tensor) -> bytes:
    return safetensors.torch.save(tensors, {"ticket-transfer": json.dumps(about)})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (safetensors.torch.save({"w": torch.ones(2)}), "not one of ours"),
        (save_weights({"w": torch.ones(2)}), "holds 'weights', expected was 'mask'"),
        (forged({"format": "mask", "version": 2}), "version 2"),
        (forged([]), "damaged"),
        (forged({"format": "mask", "version": 1}), "does not list"),
        (forged({"format": "mask", "version": 1, "layers": [["w", [-1], 0]]}), "entry for a layer"),
        (forged({"format": "mask", "version": 1, "layers": [["w", [9], 0]]}), "not those"),
        (forged({"format": "mask", "version": 1, "layers": [["w", [9], 0]]}, w=torch.zeros(1).byte()), "not the bits"),
        (forged({"format": "mask", "version": 1, "layers": [["w", [8], 3]]}, w=torch.ones(1).byte()), "1 survivors; 3"),
        (forged({"format": "mask", "version": 1, "layers": []}, w=torch.ones(1).byte()), "not those"),
        (
            forged({"format": "mask", "version": 1, "layers": [["w", [0, 9**30], 0]]}, w=torch.zeros(0).byte()),
            "entry for",
        ),
        (forged({"format": "mask", "version": 1, "layers": [["w", [1] * 99, 1]]}, w=torch.ones(1).byte()), "survivors"),
    ],
)
def test_a_file_that_is_no_mask_is_refused_and_says_why(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        load_mask(data)
