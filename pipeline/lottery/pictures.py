"""Picture files: which are read, how wide and how coloured they are, and which way is up. Imports no torch.

Planning asks for the header, training for the pixels; both go through here, so that they agree. Turned as Hugging
Face's `datasets` turns them (`Image.decode_example`): if a picture says that it lies on its side (EXIF orientation),
it is set upright.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""What is opened, whatever a file is called. Pillow knows more, and gives EPS to Ghostscript."""
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
"""Of files in an image folder that are pictures, in capitals, too."""
GREY = ("1", "L", "LA", "La")
COLOURED = ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr")
"""Become RGB. Transparency is left out."""
ORIENTATION = 0x0112
TAGS = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
"""Where Pillow keeps what may name an orientation; it takes a tenth of the time of a small picture to look for it."""
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap height and width."""
TURNABLE = ("JPEG", "MPO")
"""What cameras and telephones write. Pillow has always turned TIFF by itself."""


class PictureError(ValueError):
    """A picture is damaged, or of a kind that is not supported; the message names it."""


def readable(name: str | Path) -> str:
    """A path as it can be printed: bytes that are no UTF-8, and characters that steer a terminal, as `\\xff`."""
    text = os.fsencode(name).decode(errors="backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def shape(file: Path | IO[bytes], where: str) -> tuple[int, int, int]:
    """Channels (1 or 3), height and width of the upright picture, from its header alone. Raises PictureError."""
    with _opened(file, where) as image:
        depth = _channels(image, where)
        # By a tag of TIFF itself Pillow swaps the sides when it reads the header.
        swapped = ORIENTATION in getattr(image, "tag_v2", ())
        sideways = not swapped and image.getexif().get(ORIENTATION) in SIDEWAYS
        width, height = reversed(image.size) if sideways else image.size
        return depth, height, width


def pixels(file: Path | IO[bytes], where: str, upright: bool = True) -> tuple[bytearray, tuple[int, int, int]]:
    """The bytes of the first frame, row by row, and their shape: height, width, channels. Raises PictureError."""
    from PIL import ImageOps

    with _opened(file, where) as opened:
        opened.load()
        depth = _channels(opened, where)
        image: Image.Image = opened
        tagged = upright and not opened.info.keys().isdisjoint(TAGS)
        if tagged and opened.getexif().get(ORIENTATION) is not None:
            image = ImageOps.exif_transpose(opened)
        mode = "L" if depth == 1 else "RGB"
        image = image if image.mode == mode else image.convert(mode)
        return bytearray(image.tobytes()), (image.height, image.width, depth)


def turning(file: Path | IO[bytes], where: str) -> dict[str, str]:
    """What the key says of pictures like this one: nothing, or that they are turned, if it is one that may be.

    A set whose pictures are not all read for its key takes this from some of them. Raises PictureError.
    """
    with _opened(file, where) as image:
        turned = image.format in TURNABLE or image.getexif().get(ORIENTATION, 1) != 1
        return {"orientation": "exif"} if turned else {}


@contextmanager
def _opened(file: Path | IO[bytes], where: str) -> Iterator["Image.Image"]:
    # Imported here: planning needs Pillow only where there are pictures.
    from PIL import Image, UnidentifiedImageError

    try:
        # Pillow warns of what is odd in a header, once a picture; what is wrong raises.
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=FORMATS) as image:
            yield image
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        reason = f"it is none of {', '.join(FORMATS)}."
        raise PictureError(f"{readable(where)} cannot be read as an image: {reason}") from error
    except Exception as error:
        # Pillow's decoders let through whatever damaged bytes make them raise.
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PictureError(f"{readable(where)} cannot be read as an image: {reason}") from error


def _channels(image: "Image.Image", where: str) -> int:
    if image.mode in GREY:
        return 1
    if image.mode in COLOURED:
        return 3
    raise PictureError(
        f"{readable(where)}: pixels of mode {image.mode} are not supported: more than 8 bits, or no colours of a "
        "screen. Convert it first."
    )
