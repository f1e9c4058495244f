"""Which files of a folder are which part of a Parquet set: one rule for planning and training. Imports no torch.

The layouts are those in which Hugging Face's data sets are published and exported.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.lottery.counting import listed
from pipeline.lottery.locations import Folder
from pipeline.lottery.parquet_files import ParquetError
from pipeline.lottery.parquet_shards import SHOWN, SPLITS, TEST, Sizes, refuse_incomplete

LAYOUT = (
    "Expected: train.parquet or train-00000-of-00002.parquet, ..., and test (or validation, val) in the same way, in "
    "the folder or in data/ below it; or folders train/ and test/ (or validation/, val/) of Parquet files"
)
NAME = re.compile(
    rf"(?P<split>{'|'.join(SPLITS)})(?:-.*|[_.]?\d+(?:[-_]of[-_]\d+.*)?)?(?:\.(?:snappy|gz|gzip|zstd|lz4|br))?\.parquet"
)
"""A split has no hyphen in its name; what follows one tells its files apart. `train_extra` and `testing` are others."""


@dataclass(frozen=True)
class Parts:
    """The files of a set."""

    train: Sizes
    test: Sizes
    unread: tuple[str, ...] = ()
    """Sizes that are named much like a part, and are of none."""

    @property
    def files(self) -> Sizes:
        return {**self.train, **self.test}


def parts(folder: Folder) -> Parts:
    """The files of both parts. Raises ParquetError where one is missing, not whole or there twice, and OSError."""
    places, others = _places(folder)
    training = [place for place in places if "train" in place]
    if not training:
        problem = f"has no train part{_there(others)}" if folder.exists() else "is not a folder"
        raise ParquetError(f"{folder} {problem}. {LAYOUT}.")
    train = _only(training, "train", folder)["train"]
    # Where the train part is, test files come before validation files; elsewhere only what is not there is looked for.
    beside = next(([there] for there in training if any(name in there for name in TEST)), places)
    split = next((name for name in TEST if any(name in there for there in beside)), None)
    if split is None:
        raise ParquetError(
            f"{folder} has no {' or '.join(TEST)} part beside {next(iter(train))}{_there(others)}. {LAYOUT}."
        )
    test = _only([there for there in beside if split in there], split, folder)[split]
    for files in (train, test):
        refuse_incomplete(folder, files)
    _refuse_overlap(folder, train, test)
    named = (file for there in places for files in there.values() for file in files)
    unread = (file for file in (*named, *others) if _alike(file) and file not in train and file not in test)
    return Parts(train, test, tuple(sorted(unread)))


def _refuse_overlap(folder: Folder, train: Sizes, test: Sizes) -> None:
    """Raises ParquetError where a link makes a training file a test file, too."""
    if folder.local is None:
        return
    real = {_identity(folder.path(file)): file for file in train}
    for file in test:
        if (same := real.get(_identity(folder.path(file)))) is not None:
            raise ParquetError(
                f"{folder.shown(same)} and {folder.shown(file)} are one file: its images would be training and test "
                "images. Remove the link."
            )


def _identity(file: str) -> tuple[int, int]:
    status = Path(file).stat()
    return status.st_dev, status.st_ino


def _only(places: Sequence[dict[str, Sizes]], split: str, folder: Folder) -> dict[str, Sizes]:
    if len(places) > 1:
        both = " and ".join(next(iter(place[split])) for place in places)
        raise ParquetError(f"{folder} has the {split} part twice, as {both}: leave one of them there.")
    return places[0]


def _places(folder: Folder) -> tuple[list[dict[str, Sizes]], list[str]]:
    """The places that may hold a set, each as the files of its splits; Parquet files and folders that are of none."""
    places: list[dict[str, Sizes]] = []
    others: list[str] = []
    top = folder.listed()
    listings = {"": top, "data/": folder.listed("data")} if "data" in top[1] else {"": top}
    for base, (sizes, folders) in listings.items():
        named: dict[str, Sizes] = {}
        for name, size in sizes.items():
            if found := NAME.fullmatch(name):
                named.setdefault(found["split"], {})[base + name] = size
            elif _is_parquet(name):
                others.append(base + name)
        # Spark writes a folder of the name that it is given, train or train.parquet.
        inside = {name: _inside(folder, base + name) for name in folders if name.removesuffix(".parquet") in SPLITS}
        below = {name: files for name, files in inside.items() if files}
        others += [f"{base}{name}/" for name in folders if name not in below and not _is_hidden(name)]
        of_folders = (
            {split: below[split + suffix] for split in SPLITS if split + suffix in below} for suffix in ("", ".parquet")
        )
        places += [named, *of_folders]
    return [place for place in places if place], others


def _inside(folder: Folder, below: str) -> Sizes:
    sizes, _ = folder.listed(below)
    return {f"{below}/{name}": size for name, size in sizes.items() if _is_parquet(name)}


def _is_parquet(name: str) -> bool:
    return name.endswith(".parquet") and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _alike(file: str) -> bool:
    return file.endswith(".parquet") and file.rpartition("/")[2].startswith(SPLITS)


def _there(others: Iterable[str]) -> str:
    found = list(others)
    return f"; there are {listed(found, SHOWN)}" if found else ""
