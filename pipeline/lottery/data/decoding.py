"""Encoded pictures (PNG, JPEG, WebP, whatever Pillow reads) to one uint8 tensor."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import torch
from PIL import Image
from torch import Tensor

from pipeline.lottery.data.errors import DataError
from pipeline.lottery.data.geometry import Geometry, repeated
from pipeline.lottery.data.source import Encoded, Like

GREY = ("1", "L", "LA", "La")
WIDE = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")

Picture = tuple[str, bytes | pa.Buffer | Path]
"""Where it is, for messages, and its bytes or its file."""


class Files:
    """Pictures in files of their own."""

    def __init__(self, files: Sequence[str]) -> None:
        # One block of memory: touching a million strings would copy all of them into every process that decodes.
        self._files = pa.array([os.fsencode(file) for file in files], pa.large_binary())

    def read(self, indices: Sequence[int], geometry: Geometry, like: Like | None = None) -> Tensor:
        files = [self.where(index) for index in indices]
        return decode([(file, Path(file)) for file in files], geometry, like)

    def where(self, index: int) -> str:
        return os.fsdecode(self._files[index].as_py())

    def encoded(self, indices: Sequence[int]) -> list[Encoded]:
        files = [self.where(index) for index in indices]
        return [Encoded(read_file(file), Path(file).name) for file in files]

    def encoded_bytes(self, indices: Sequence[int]) -> int:
        return sum(Path(self.where(index)).stat().st_size for index in indices)

    def shared(self) -> "Files":
        return self

    @property
    def nbytes(self) -> int:
        return int(self._files.nbytes)


def read_file(file: str) -> bytes:
    """Raises DataError, naming the file."""
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error


def decode(pictures: Sequence[Picture], geometry: Geometry, like: Like | None = None) -> Tensor:
    """uint8 [N, C, H, W]; C is 1 for grey pictures, else 3. All sizes must be equal once the geometry is applied.

    Shape and channels are those of `like`, by default of the first picture. A grey picture in a coloured set is
    repeated to three channels. Raises DataError, naming the picture.
    One thread: a second made 5,000 WebP pictures of 32 px slower (0.63 s -> 1.06 s, 2 cores) and 800 JPEGs of 224 px no
    faster, as most of the time holds the interpreter lock.
    """
    pixels: Tensor | None = None
    for place, picture in enumerate(pictures):
        image = _decoded(picture, geometry)
        if like is None:
            channels, height, width = image.shape
            like = Like(picture[0], (channels, height, width))
        if pixels is None:
            pixels = torch.empty(len(pictures), *like.shape, dtype=torch.uint8)
        if image.shape[0] == 1:
            image = repeated(image, like.shape[0])
        if image.shape != like.shape:
            raise DataError(
                f"{picture[0]} is {list(image.shape)} (channels, height, width), but {like.where} is "
                f"{list(like.shape)}. Set `resize` and `crop` for pictures of different sizes, `channels: 3` where "
                "some are grey."
            )
        pixels[place] = image
    if pixels is None:
        raise ValueError("There are no pictures to decode.")
    return pixels


def _decoded(picture: Picture, geometry: Geometry) -> Tensor:
    where, data = picture
    try:
        with _opened(data) as opened:
            if opened.mode in WIDE:
                raise DataError(
                    f"{where}: pixels of more than 8 bits (mode {opened.mode}) are not supported. Convert it first."
                )
            mode = "L" if opened.mode in GREY else "RGB"
            image = opened if opened.mode == mode else opened.convert(mode)
            width, height = image.size
            flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{where} cannot be read as an image: {error}") from error
    try:
        return geometry(flat.view(height, width, -1).permute(2, 0, 1))
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _opened(data: bytes | pa.Buffer | Path) -> Image.Image:
    if isinstance(data, Path):
        return Image.open(data)
    # Pillow tries WebP after six others: 234 us for a picture of 32x32, 141 when it is told.
    webp = bytes(data[8:12]) == b"WEBP"
    return Image.open(io.BytesIO(data), formats=("WEBP",) if webp else None)
