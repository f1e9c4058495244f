"""Images in folders, one a class: train/<class>/*, and val/<class>/* or test/<class>/*."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from pipeline.experiment.datasets import Dataset, Facts
from pipeline.experiment.model_base import Input
from pipeline.experiment.user_files import UnfitError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".gif")
GREY = ("1", "L", "LA", "La")
LAYOUT = "Expected: train/<class>/<image> and val/<class>/<image> (or test/)"


class Images(Dataset):
    """`path`: the folder, relative to the data root."""

    name: Literal["images"] = "images"
    path: str

    def facts(self, root: Path) -> Facts:
        folder = folder_at(self.path, root)
        test = next((folder / name for name in ("val", "test") if (folder / name).is_dir()), None)
        if not (folder / "train").is_dir() or test is None:
            missing = "train/" if test else "val/ or test/"
            raise UnfitError(f"{folder} has no {missing}. {LAYOUT}.", "path")
        digest = hashlib.sha256()
        train = list(_listed(folder / "train"))
        for relative, size in [*train, *_listed(test)]:
            digest.update(f"{relative}\0{size}\0".encode())
        classes = sorted(
            entry.name for entry in (folder / "train").iterdir() if entry.is_dir() and not entry.name.startswith(".")
        )
        counts = dict.fromkeys(classes, 0)
        first: dict[str, str] = {}
        for relative, _ in train:
            name = relative.split("/")[1]
            counts[name] += 1
            first.setdefault(name, relative)
        if not counts:
            raise UnfitError("there are no classes in train/.", "path")
        if empty := [name for name, count in counts.items() if not count]:
            raise UnfitError(f"{folder / 'train'} has no images in {', '.join(empty[:5])}.", "path")
        return Facts(
            lambda: self._shape({size_of(folder / file, file) for file in first.values()}),
            len(counts),
            len(train),
            lambda: tuple(counts.values()),
            fields={"fingerprint": digest.hexdigest()},
            location=str(folder),
        )

    def _shape(self, shapes: set[Input]) -> Input:
        """From the first image of each class; reading all headers of a large set would take minutes a plan."""
        if len({shape[1:] for shape in shapes}) > 1 and not (self.resize and self.crop):
            sizes = sorted(f"{height}x{width}" for _, height, width in shapes)[:4]
            raise UnfitError(f"the images differ in size ({', '.join(sizes)}, ...): give resize and crop.", "path")
        channels = max(shape[0] for shape in shapes)
        return (channels, *min(shapes)[1:])


def folder_at(path: str, root: Path) -> Path:
    """`path` below the data root, or absolute. Raises UnfitError if there is no such folder."""
    folder = root / path
    if not folder.is_dir():
        raise UnfitError(
            f"there is no folder {folder}. Give a path below the data root (--data, TICKETS_DATA).", "path"
        )
    return folder.resolve()


def size_of(file: Path | IO[bytes], where: str) -> Input:
    """Channels, height and width from the header alone; 1 channel for grey, else 3 as the images are decoded."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return 1 if image.mode in GREY else 3, image.height, image.width
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnfitError(f"{where} cannot be read as an image: {error}", "path") from error


def _listed(part: Path) -> Iterator[tuple[str, int]]:
    """(path relative to the data set, bytes) of every image in a class folder, in path order."""
    found: list[tuple[str, int]] = []
    for folder, below, files in os.walk(part, followlinks=True):
        below[:] = [name for name in below if Path(folder) != part or not name.startswith(".")]
        if Path(folder) == part:
            continue
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                file = Path(folder) / name
                found.append((file.relative_to(part.parent).as_posix(), file.stat().st_size))
    return iter(sorted(found))
