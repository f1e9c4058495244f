"""Pictures: planned as they are decoded, upright, of the documented formats only."""

import io
import itertools
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import EpsImagePlugin, Image

from pipeline.experiment.catalogue import describe
from pipeline.experiment.image_folders import ImageFolder, size_of, turning_of
from pipeline.experiment.parquet_data import Parquet
from pipeline.lottery.data import DataError, load
from pipeline.lottery.data.decoding import decode
from pipeline.lottery.data.geometry import Geometry
from pipeline.lottery.pictures import FORMATS, SUFFIXES
from pipeline.recipes.errors import UnfitError

UPRIGHT = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
"""Height, width, channels."""
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.transpose(1, 0, 2),
    6: np.rot90(UPRIGHT),
    7: UPRIGHT.transpose(1, 0, 2)[::-1, ::-1],
    8: np.rot90(UPRIGHT, -1),
}
"""What a camera writes of it, by the EXIF orientation that it gives (EXIF 2.32, 4.6.4.A, tag 0x0112)."""
LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True, "exact": True}}


def turned(orientation: int, kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    picture.save(stream, kind, exif=exif, **LOSSLESS.get(kind, {"quality": 100, "subsampling": 0}))
    return stream.getvalue()


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def decoded(data: bytes) -> torch.Tensor:
    return decode([("x", data)], Geometry())[0]


def both(data: bytes) -> torch.Tensor:
    """The pixels, once planning has agreed to their shape."""
    pixels = decoded(data)
    assert size_of(io.BytesIO(data), "x") == tuple(pixels.shape)
    return pixels


@pytest.mark.parametrize(("orientation", "kind"), list(itertools.product(STORED, ("JPEG", "PNG", "TIFF", "WEBP"))))
def test_a_picture_is_set_upright(orientation: int, kind: str) -> None:
    pixels = both(turned(orientation, kind)).permute(1, 2, 0).numpy()
    assert pixels.shape == UPRIGHT.shape
    if kind == "JPEG":
        assert np.abs(pixels.astype(int) - UPRIGHT).mean() < 3
    else:
        assert np.array_equal(pixels, UPRIGHT)


def test_an_orientation_may_stand_in_xmp_or_behind_the_pixels() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    stored = Image.fromarray(np.ascontiguousarray(STORED[6]))
    for data in (encoded(stored, "WEBP", lossless=True, xmp=xmp), encoded(stored, "TIFF", tiffinfo={700: xmp})):
        assert np.array_equal(both(data).permute(1, 2, 0).numpy(), UPRIGHT)
    png = turned(6, "PNG")
    begin = png.index(b"eXIf") - 4
    end = begin + 12 + int.from_bytes(png[begin : begin + 4], "big")
    late = png[:begin] + png[end:-12] + png[begin:end] + png[-12:]
    assert np.array_equal(both(late).permute(1, 2, 0).numpy(), UPRIGHT)


def test_folders_and_parquet_are_planned_and_read_upright(tmp_path: Path) -> None:
    rows = {"image": [{"bytes": turned(6, "PNG"), "path": "x.png"}], "label": [0]}
    for part in ("train", "test"):
        (tmp_path / "set" / part / "a").mkdir(parents=True)
        (tmp_path / "set" / part / "a" / "x.png").write_bytes(turned(6, "PNG"))
        pq.write_table(pa.table(rows), tmp_path / f"{part}.parquet")
    for data in (describe(ImageFolder(path="set"), tmp_path, None), describe(Parquet(path="."), tmp_path, None)):
        assert data.shape == (3, 5, 8)
        for images in ("resident", "streaming"):
            loaded = load(data.recipe, tmp_path, data.location, images=images).train_x
            pixels = loaded if isinstance(loaded, torch.Tensor) else loaded.read([0])
            assert np.array_equal(pixels[0].permute(1, 2, 0).numpy(), UPRIGHT)


def test_the_key_of_pictures_that_are_not_all_read_says_whether_they_may_be_turned() -> None:
    told = {kind: turning_of({"x": turned(1, kind)}) for kind in ("JPEG", "WEBP", "PNG", "TIFF")}
    assert told == {"JPEG": {"orientation": "exif"}, "WEBP": {}, "PNG": {}, "TIFF": {}}
    pictures = {"x": turned(1, "PNG"), "damaged": b"no image", "y": turned(3, "PNG")}
    assert turning_of(pictures) == {"orientation": "exif"}


def test_the_first_picture_of_every_file_says_whether_any_may_be_turned(tmp_path: Path) -> None:
    def write(file: str, data: bytes) -> None:
        pq.write_table(pa.table({"image": [data], "label": [0]}), tmp_path / file)

    names = [f"train-{number}.parquet" for number in range(3)] + ["test-0.parquet", "test-1.parquet"]
    for name in names:
        write(name, turned(1, "PNG"))
    assert describe(Parquet(path="."), tmp_path, None).recipe.orientation is None
    for name in names:
        write(name, turned(1, "JPEG"))
        assert describe(Parquet(path="."), tmp_path, None).recipe.orientation == "exif"
        write(name, turned(1, "PNG"))


GREY, COLOUR = Image.new("L", (3, 2), 90), Image.new("RGB", (3, 2), (10, 20, 30))


def palette(transparency: bytes | int) -> Image.Image:
    """Its one colour is transparent."""
    picture = COLOUR.quantize(2)
    picture.info["transparency"] = transparency
    return picture


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (encoded(GREY, "PNG"), [90]),
        (encoded(GREY.convert("LA"), "PNG"), [90]),
        (encoded(Image.new("1", (3, 2), 1), "PNG"), [255]),
        (encoded(palette(b"\0\xff"), "PNG"), [10, 20, 30]),
        (encoded(palette(0), "GIF", save_all=True, append_images=[GREY, COLOUR]), [10, 20, 30]),
        (encoded(COLOUR.convert("RGBA"), "PNG", save_all=True, append_images=[GREY.convert("RGBA")]), [10, 20, 30]),
        (encoded(COLOUR.convert("RGBA"), "WEBP", lossless=True), [10, 20, 30]),
        (encoded(COLOUR, "BMP"), [10, 20, 30]),
        (encoded(COLOUR, "PPM"), [10, 20, 30]),
        (encoded(GREY, "PPM"), [90]),
        (encoded(COLOUR, "TIFF", save_all=True, append_images=[GREY]), [10, 20, 30]),
    ],
)
def test_a_picture_of_any_mode_is_grey_or_coloured_as_planned(data: bytes, values: list[int]) -> None:
    assert both(data).flatten(1).tolist() == [[value] * 6 for value in values]


def test_cmyk_and_ycbcr_become_colours() -> None:
    inks = both(encoded(Image.new("CMYK", (3, 2), (255, 0, 0, 0)), "JPEG"))
    assert inks[:, 0, 0].tolist() == [0, 255, 255]
    assert both(encoded(COLOUR.convert("YCbCr"), "TIFF")).shape == (3, 2, 3)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_pixels_of_more_than_eight_bits_are_refused_by_planning_and_decoding(mode: str) -> None:
    data = encoded(Image.new(mode, (3, 2)), "TIFF")
    with pytest.raises(UnfitError, match=rf"^x: pixels of mode {mode}"):
        size_of(io.BytesIO(data), "x")
    with pytest.raises(DataError, match=rf"^x: pixels of mode {mode}"):
        decoded(data)


def test_colours_that_no_screen_has_are_refused_alike() -> None:
    data = encoded(Image.new("LAB", (3, 2)), "TIFF")
    for ask in (lambda: size_of(io.BytesIO(data), "x"), lambda: decoded(data)):
        with pytest.raises(ValueError, match=r"^x: pixels of mode LAB are not supported"):
            ask()


def test_other_formats_are_refused_whatever_they_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*arguments: object, **options: object) -> None:
        raise AssertionError("Ghostscript is started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    monkeypatch.setattr(subprocess, "Popen", started)
    for kind in ("EPS", "TGA", "ICO", "JPEG2000"):
        file = tmp_path / "x.png"
        file.write_bytes(encoded(Image.new("RGB", (32, 32)), kind))
        with pytest.raises(UnfitError, match=r"x\.png cannot be read as an image: it is none of JPEG, PNG"):
            size_of(file, str(file))
        for picture in (file, file.read_bytes()):
            with pytest.raises(DataError, match=r"x\.png cannot be read as an image: it is none of JPEG, PNG"):
                decode([(str(file), picture)], Geometry())


def test_suffixes_and_formats_go_together() -> None:
    Image.init()
    assert {Image.EXTENSION[suffix] for suffix in SUFFIXES} == set(FORMATS)


def test_a_picture_that_is_too_large_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("L", (100, 100)), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    with pytest.raises(UnfitError, match=r"^x cannot be read as an image: Image size"):
        size_of(io.BytesIO(data), "x")
    with pytest.raises(DataError, match=r"^x cannot be read as an image: Image size"):
        decoded(data)
