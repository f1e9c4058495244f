"""Thousands of damaged and forged tickets: `Ticket.load` and `Ticket.apply` do what they say, or raise TicketError."""

import copy
import json
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline import Ticket
from pipeline.lottery.ticket import TicketError

SECONDS, MOST, FEWEST = 5.0, 4000, 1000


class Net(nn.Sequential):
    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.flat = nn.Flatten()
        self.head = nn.Linear(8, classes)


ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 0.5, 1e308, "", "weights/x", "\x1b[2J", "‮"),
    *(
        [],
        {},
        [[]],
        [0],
        [-1],
        [2, 1, 3, 3],
        [2**40, 2**40],
        [0, 10**30],
        {"x": 1},
        "F16",
        "BF16",
        "F8_E4M3",
        "I8",
        "U8",
    ),
    *(
        "BOOL",
        "C64",
        "F64",
        "U16",
        "U64",
        "F4",
        "F8_E8M0",
        "conv.weight",
        "head.weight",
        "mask/conv.weight",
        "ticket",
        18,
    ),
]


def parts(data: bytes) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """The header, the document in its metadata, and the tensors' bytes."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    return header, json.loads(header["__metadata__"]["ticket-transfer"]), data[8 + size :]


def whole(header: dict[str, Any], document: Any, tensors: bytes) -> bytes:
    if "__metadata__" in header and isinstance(header["__metadata__"], dict):
        header = header | {"__metadata__": header["__metadata__"] | {"ticket-transfer": json.dumps(document)}}
    text = json.dumps(header).encode(errors="surrogatepass")
    return struct.pack("<Q", len(text)) + text + tensors


def nodes(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [pair for key, below in items for pair in [(value, key), *nodes(below)]]


def change(value: Any, draw: random.Random) -> None:
    """One entry becomes another one, goes, or is there under another name or twice."""
    found = nodes(value)
    if not found:
        return
    container, key = draw.choice(found)
    kind = draw.randrange(5)
    if kind == 0:
        del container[key]
    elif kind == 1 and isinstance(container, dict):
        container[str(draw.choice([*ODD, *container]))] = container[key]
    elif kind == 2 and isinstance(container, list):
        container.insert(draw.randrange(len(container) + 1), copy.deepcopy(container[key]))
    elif kind == 3:
        other, place = draw.choice(found)
        container[key] = copy.deepcopy(other[place])
    else:
        container[key] = copy.deepcopy(draw.choice(ODD))


def of_bytes(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 2, 8])):
        changed[draw.randrange(len(changed))] = draw.choice([0, 0xFF, draw.randrange(256)])
    return bytes(changed)


def of_length(data: bytes, draw: random.Random) -> bytes:
    start, end = sorted(draw.randrange(len(data) + 1) for _ in range(2))
    return draw.choice([data[:end], data[start:], data[:start] + data[end:], data[:end] + data[start:], data + b"\0"])


def of_header(data: bytes, draw: random.Random) -> bytes:
    header, document, tensors = parts(data)
    for _ in range(draw.choice([1, 1, 2, 3])):
        change(header, draw)
    return whole(header, document, tensors)


def of_document(data: bytes, draw: random.Random) -> bytes:
    header, document, tensors = parts(data)
    for _ in range(draw.choice([1, 1, 2, 3])):
        change(document, draw)
    return whole(header, document, tensors)


def of_values(data: bytes, draw: random.Random) -> bytes:
    """Tensors of other bits: NaN, infinite, denormal."""
    header, document, tensors = parts(data)
    return whole(header, document, draw.randbytes(len(tensors)))


def of_types(data: bytes, draw: random.Random) -> bytes:
    """A tensor of another type of as many bytes, with its shape to fit, in the file and in what it lists."""
    header, document, tensors = parts(data)
    name = draw.choice([name for name in header if name != "__metadata__"])
    entry, size = header[name], header[name]["data_offsets"][1] - header[name]["data_offsets"][0]
    kind, width = draw.choice([("I8", 1), ("BOOL", 1), ("F16", 2), ("BF16", 2), ("I64", 8), ("C64", 8), ("F8_E5M2", 1)])
    header[name] = entry | {"dtype": kind, "shape": [size // width]}
    for listed in document["mask"]:
        if f"weights/{listed[0]}" == name and draw.random() < 0.5:
            listed[1] = [size // width]
    return whole(header, document, tensors)


MUTATIONS: list[Callable[[bytes, random.Random], bytes]] = [
    *(of_bytes, of_length, of_header, of_document, of_values, of_types)
]


def tickets(folder: Path) -> list[bytes]:
    torch.manual_seed(0)
    found = []
    for mask in ({"conv.weight": torch.rand(2, 1, 3, 3) < 0.4}, {}, {"head.weight": torch.rand(3, 8) < 0.4}):
        Ticket(mask, Net().state_dict(), {"source": {"name": "digits"}}).save(folder / "ticket.safetensors")
        found.append((folder / "ticket.safetensors").read_bytes())
    return found


def test_nothing_but_a_ticket_error_escapes(tmp_path: Path) -> None:
    draw, path, outcomes = random.Random(16), tmp_path / "stranger.safetensors", {"refused": 0, "unfit": 0, "fits": 0}
    originals, models = tickets(tmp_path), [Net(), Net(classes=5)]
    states = [copy.deepcopy(model.state_dict()) for model in models]
    begun = time.monotonic()
    for number in range(MOST):
        if time.monotonic() - begun > SECONDS and number >= FEWEST:
            break
        data = draw.choice(MUTATIONS)(draw.choice(originals), draw)
        path.write_bytes(data)
        try:
            ticket = Ticket.load(path)
        except TicketError as error:
            assert str(error).isprintable(), (number, str(error))
            outcomes["refused"] += 1
            continue
        which = draw.randrange(2)
        model = models[which]
        try:
            handle = ticket.apply(model)
        except TicketError as error:
            assert str(error).isprintable(), (number, str(error))
            outcomes["unfit"] += 1
            assert all(torch.equal(value, states[which][name]) for name, value in model.state_dict().items()), number
            continue
        outcomes["fits"] += 1
        for name, kept in ticket.mask.items():
            if name != "head.weight":  # its layer may be left alone
                assert not model.get_parameter(name)[~kept].any(), number
        handle.remove()
        model.load_state_dict(states[which])
    assert sum(outcomes.values()) >= FEWEST and min(outcomes.values()) > 20, outcomes
