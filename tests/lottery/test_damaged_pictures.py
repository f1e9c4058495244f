"""Damaged pictures: nothing but the documented errors comes out of planning and decoding, and the two agree."""

import io
import random
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from pipeline.experiment.image_folders import size_of
from pipeline.lottery.data import DataError
from pipeline.lottery.data.decoding import decode
from pipeline.lottery.data.geometry import Geometry
from pipeline.lottery.pictures import FORMATS
from pipeline.recipes.errors import UnfitError

SEED, MUTATIONS, SECONDS = 16, 4000, 5
"""On a slow machine the time ends it first."""
COLOUR = Image.fromarray(np.random.default_rng(SEED).integers(0, 256, (9, 7, 3), dtype=np.uint8))
GREY = COLOUR.convert("L")


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def pictures() -> list[bytes]:
    """Small ones of every format, and of what is peculiar to it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    frames: dict[str, Any] = {"save_all": True, "append_images": [GREY.convert("RGB"), COLOUR]}
    return [
        *(saved(COLOUR, kind) for kind in FORMATS),
        *(saved(COLOUR, kind, exif=exif) for kind in ("JPEG", "PNG", "WEBP", "TIFF")),
        *(saved(COLOUR, kind, **frames) for kind in ("PNG", "GIF", "WEBP", "TIFF")),
        *(saved(COLOUR, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")),
        *(saved(GREY, kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "PPM")),
        *(saved(COLOUR.quantize(5), kind, transparency=1) for kind in ("PNG", "GIF")),
        saved(COLOUR.quantize(5), "BMP"),
        saved(GREY.convert("1"), "TIFF", compression="group4"),
        saved(COLOUR.convert("CMYK"), "JPEG"),
        saved(COLOUR, "JPEG", progressive=True, icc_profile=b"x" * 60, xmp=b'tiff:Orientation="8"'),
        saved(COLOUR, "WEBP", lossless=True),
        b"P3 2 2 255\n" + b"1 2 3 " * 4,
    ]


def damaged(originals: list[bytes], chance: random.Random) -> Iterator[bytes]:
    """Bits turned, bytes cut off, left out or put in, numbers made huge, parts of two pictures put together."""
    for number in range(MUTATIONS):
        data = bytearray(originals[number % len(originals)])
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            # What is read first is at the beginning, and most of it decides something.
            place = min(chance.randrange(len(data)), chance.randrange(len(data))) if data else 0
            other = chance.choice(originals)
            match chance.randrange(7):
                case 0 | 1 if data:
                    data[place] ^= 1 << chance.randrange(8)
                case 2:
                    del data[chance.randrange(len(data) + 1) :]
                case 3:
                    del data[place : place + chance.randrange(1, 20)]
                case 4:
                    data[place : place + 4] = chance.choice(
                        (b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\xff\0")
                    )
                case 5:
                    begin = chance.randrange(len(other))
                    data[place:place] = other[begin : begin + chance.randrange(1, 60)]
                case _:
                    data[place:] = other[place:]
        yield bytes(data)


def test_whatever_a_damaged_picture_raises_is_an_error_with_its_name() -> None:
    chance, until = random.Random(SEED), time.monotonic() + SECONDS
    outcomes: Counter[str] = Counter()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for data in damaged(pictures(), chance):
            planned = pixels = None
            try:
                planned = size_of(io.BytesIO(data), "dog.png")
            except UnfitError as error:
                assert str(error).startswith("dog.png") and "\n" not in str(error) and "object at 0x" not in str(error)
            try:
                pixels = decode([("dog.png", data)], Geometry())[0]
            except DataError as error:
                assert str(error).startswith("dog.png")
            if pixels is not None:
                assert planned == tuple(pixels.shape), data.hex()
            outcomes[f"planned: {planned is not None}, decoded: {pixels is not None}"] += 1
            if time.monotonic() > until:
                break
    assert not warned
    assert len(outcomes) == 3 and outcomes.total() >= 300, outcomes
