"""A ticket's file from a stranger: whatever it holds, it is a ticket, or is refused in words."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline import Ticket
from pipeline.lottery.ticket import TicketError

WEIGHTS = {"weights/0.weight": torch.ones(3, 4), "weights/0.bias": torch.ones(3)}
MASK = {"mask/0.weight": torch.tensor([0xFF, 0xF0], dtype=torch.uint8)}
DOCUMENT = {
    "format": "ticket",
    "version": 1,
    "names": ["0.weight", "0.bias"],
    "mask": [["0.weight", [3, 4], 12]],
    "provenance": {"source": "digits"},
}


def forged(document: object = None, tensors: Mapping[str, Tensor] | None = None, **changed: Any) -> bytes:
    about = document if isinstance(document, str) else json.dumps(DOCUMENT | changed)
    return safetensors.torch.save(dict(tensors or WEIGHTS | MASK), {"ticket-transfer": about})


def of_weights(weights: Tensor) -> bytes:
    return forged(tensors=WEIGHTS | MASK | {"weights/0.weight": weights.reshape(3, 4)})


def header(size: int, text: bytes) -> bytes:
    return struct.pack("<Q", size) + text


DEEP = "[" * 100_000 + "]" * 100_000
ESCAPE = "\x1b]0;owned\x07"
BIT = {"mask/z": torch.tensor([128], dtype=torch.uint8)}
NOTHING = {"weights/z": torch.zeros(0, 5), "mask/z": torch.zeros(0, dtype=torch.uint8)}
HOSTILE = {
    "a header of 10 GB": (header(10**10, b"{}"), "header is too large: 10000000000"),
    "a header of more bytes than there are": (header(2**20, b"{}"), "invalid header length"),
    "a header of 11 MB": (header(11_000_000, b"{" + b" " * 10_999_998 + b"}"), "header is too large: 11000000"),
    "nested metadata": (
        forged(json.dumps(DOCUMENT)[:-1] + f', "deep": {DEEP}}}'),
        "entry 'ticket-transfer' is damaged",
    ),
    "metadata that is a list": (forged("[]"), "entry 'ticket-transfer' is damaged"),
    "a number of 100,000 digits": (forged("1" * 100_000), "entry 'ticket-transfer' is damaged"),
    "provenance that is no mapping": (forged(provenance=["digits"]), "provenance is no mapping"),
    "metadata without fields": (forged("{}"), "entry 'ticket-transfer' is damaged"),
    "numbers as names": (forged(names=[1], mask=[], tensors={"weights/1": torch.ones(2)}), "not those that"),
    "a name twice": (forged(names=["0.weight", "0.weight"]), "not those that"),
    "a weight that is not listed": (forged(tensors=WEIGHTS | MASK | {"weights/x": torch.ones(1)}), "not those that"),
    "a mask that is not listed": (forged(tensors=WEIGHTS | MASK | BIT), "masks are not those"),
    "a mask listed twice": (forged(mask=[["0.weight", [3, 4], 12]] * 2), "masks are not those"),
    "a tensor of neither kind": (forged(tensors=WEIGHTS | MASK | {"../../x": torch.ones(1)}), "neither weights nor"),
    "a mask of no weight": (forged(mask=[["z", [1], 1]], tensors=WEIGHTS | BIT), "no weight of its shape"),
    "a mask of another shape": (forged(mask=[["0.weight", [4, 3], 12]]), r"no weight of its shape, \[4, 3\]"),
    "a mask larger than the world": (forged(mask=[["0.weight", [2**40, 2**40], 1]]), "entry for a layer"),
    "a mask of nothing, 10^30 times": (
        forged(mask=[["z", [0, 10**30], 0]], names=["z"], tensors=NOTHING),
        "entry for a layer",
    ),
    "a mask of floats": (forged(tensors=WEIGHTS | {"mask/0.weight": torch.ones(2)}), "not the bits"),
    "a wrong count": (forged(mask=[["0.weight", [3, 4], 11]]), "12 survivors; 11 were written"),
    "whole numbers as weights": (of_weights(torch.ones(12, dtype=torch.int8)), "whole numbers"),
    "truth values as weights": (of_weights(torch.ones(12, dtype=torch.bool)), "whole numbers"),
    "weights that torch cannot prune": (of_weights(torch.ones(12).to(torch.float8_e4m3fn)), "cannot be pruned"),
    "a name that a terminal obeys": (forged(mask=[[ESCAPE, [3, 4], 12]]), "entry for a layer of the mask is damaged"),
    "a type that a terminal obeys": (
        header(72, b'{"weights/x":{"dtype":"\\u001b[2J","shape":[1],"data_offsets":[0,4]}}'.ljust(72)) + b"0000",
        r"unknown variant `\\x1b\[2J`",
    ),
    "a weight's name that a terminal obeys": (
        forged(names=[ESCAPE], mask=[], tensors={f"weights/{ESCAPE}": torch.ones(1)}),
        "not those that",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_ticket_is_refused_in_words(tmp_path: Path, case: str) -> None:
    data, message = HOSTILE[case]
    path = tmp_path / "stranger.safetensors"
    path.write_bytes(data)
    with pytest.raises(TicketError, match=message) as refused:
        Ticket.load(path)
    assert str(refused.value).isprintable(), "a terminal would obey it"


def test_a_name_is_never_a_path(tmp_path: Path) -> None:
    name = "../../escaped"
    path = tmp_path / "a" / "b" / "stranger.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(forged(names=[name], mask=[], tensors={f"weights/{name}": torch.ones(2)}))
    ticket = Ticket.load(path)
    assert list(ticket.weights) == [name]
    ticket.save(path.with_name("copy.safetensors"))
    with pytest.raises(TicketError, match="does not fit"):
        ticket.apply(nn.Sequential(nn.Linear(4, 3)))
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == [
        "copy.safetensors",
        "stranger.safetensors",
    ]


@pytest.mark.parametrize(("weights", "fits"), [(torch.ones(12).double(), True), (torch.ones(12) * 1j, False)])
def test_numbers_of_another_kind_are_not_put_into_a_model(tmp_path: Path, weights: Tensor, fits: bool) -> None:
    path = tmp_path / "stranger.safetensors"
    path.write_bytes(of_weights(weights))
    model = nn.Sequential(nn.Linear(4, 3))
    weight = model.get_parameter("0.weight")
    before = weight.detach().clone()
    if fits:
        Ticket.load(path).apply(model)
        assert weight.eq(1).all()
        return
    with pytest.raises(TicketError, match=r"0\.weight is torch\.float32 in the model and torch\.complex64"):
        Ticket.load(path).apply(model)
    assert torch.equal(weight, before)


@given(st.integers(0, len(forged()) - 1), st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_byte_may_be_another_one(tmp_path: Path, position: int, byte: int) -> None:
    data = bytearray(forged())
    data[position] = byte
    path = tmp_path / "stranger.safetensors"
    path.write_bytes(data)
    try:
        ticket = Ticket.load(path)
    except TicketError:
        return
    assert ticket.mask.keys() <= ticket.weights.keys()
