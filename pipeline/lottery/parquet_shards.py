"""The files of one part of a Parquet set: whole, and of one sharding, as far as their names tell. Imports no torch."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

from pipeline.lottery.counting import listed
from pipeline.lottery.locations import Folder
from pipeline.lottery.parquet_files import ParquetError

TEST = ("test", "validation", "val")
"""What the test images may be called; the first that is there is used."""
SPLITS = ("train", *TEST)
SHARD = re.compile(r"(?P<stem>.*?)[-_.]?(?P<number>\d+)[-_]of[-_](?P<all>\d+)(?P<rest>.*)\.parquet")
NUMBERED = re.compile(r"(?P<stem>.*?)[-_.]?(?P<number>\d+)(?P<rest>(?:\.[a-z0-9]+)?)\.parquet")
SPARK = re.compile(r"part-(?P<number>\d{5})-.*\.parquet")
YEAR = re.compile(r"19\d\d|20\d\d|2100")
SHOWN = 3
"""Sizes that a message names."""

Sizes = dict[str, int]
"""Bytes by the path below the folder, in name order."""


def refuse_incomplete(folder: Folder, files: Sizes) -> None:
    """Raises ParquetError unless the files are all the shards of one sharding, or no shards."""
    names = {file.rpartition("/")[2]: file for file in files}
    shards = {names[name]: found for name in names if (found := SHARD.fullmatch(name))}
    whole = [file for name, file in names.items() if file not in shards]
    plain = [file for name, file in names.items() if name.removesuffix(".parquet") in SPLITS]
    if (shards and whole) or (plain and len(files) > 1):
        one = (plain or whole)[0]
        others = listed((file for file in files if file != one), SHOWN)
        raise ParquetError(
            f"{folder.shown(one)} is there beside {others}: which of them are the images cannot be told. "
            "Leave one kind there."
        )
    if shards:
        _refuse_shards(folder, shards)
    of_stem: dict[str, dict[str, re.Match[str]]] = {}
    for name, file in names.items():
        if file not in shards and (found := NUMBERED.fullmatch(name)):
            of_stem.setdefault(found["stem"], {})[file] = found
    for stem, numbered in of_stem.items():
        numbers = [int(found["number"]) for found in numbered.values()]
        exported = not stem and all(len(found["number"]) == 4 for found in numbered.values())
        if exported or not _are_no_count(stem, numbered):
            _refuse_gaps(folder, numbered, 1 if min(numbers) == 1 and not exported else 0, max(numbers) + 1)
    spark = [found for name in names if (found := SPARK.fullmatch(name))]
    if spark and all(int(found["number"]) for found in spark):
        raise ParquetError(
            f"{folder} is not whole: part-00000-* is missing beside {names[spark[0][0]]}. Spark writes it always, and "
            "leaves out others that are empty."
        )


def _are_no_count(stem: str, numbered: Mapping[str, re.Match[str]]) -> bool:
    """Whether they are years, or the one number is of a word: `train-2019`, `train-v2`."""
    found, *others = numbered.values()
    of_word = not others and stem not in SPLITS and found.start("number") == len(stem) > 0
    return of_word or all(YEAR.fullmatch(each["number"]) for each in numbered.values())


def _refuse_shards(folder: Folder, shards: Mapping[str, re.Match[str]]) -> None:
    of_sharding = {(found["stem"], int(found["all"])): file for file, found in shards.items()}
    if len(of_sharding) > 1:
        mixed = listed(sorted(of_sharding.values()), SHOWN)
        raise ParquetError(f"{folder} has shards of different sets: {mixed}. Leave those of one there.")
    ((_, count),) = of_sharding
    for file, found in shards.items():
        if int(found["number"]) >= count:
            raise ParquetError(
                f"{folder.shown(file)}: shards are counted from 0, and the last of {count} is {count - 1}."
            )
    _refuse_gaps(folder, shards, 0, count)


def _refuse_gaps(folder: Folder, numbered: Mapping[str, re.Match[str]], begin: int, end: int) -> None:
    """Raises ParquetError unless the numbers are `begin` to `end` - 1, each once."""
    of_number: dict[int, str] = {}
    for file, found in numbered.items():
        number = int(found["number"])
        if number in of_number:
            raise ParquetError(
                f"{folder} has number {number} twice: {of_number[number]} and {file}. Leave one of them there."
            )
        of_number[number] = file
    missing = end - begin - len(of_number)
    if missing:
        file, found = next(iter(numbered.items()))
        absent = itertools.islice((n for n in range(begin, end) if n not in of_number), SHOWN)
        more = f" and {missing - SHOWN:,} more" if missing > SHOWN else ""
        raise ParquetError(
            f"{folder} is not whole: {', '.join(_renumbered(file, found, absent))}{more} "
            f"{'is' if missing == 1 else 'are'} missing ({len(of_number):,} of {end - begin:,} files are there)."
        )


def _renumbered(file: str, found: re.Match[str], numbers: Iterable[int]) -> Iterator[str]:
    """The file with other numbers; of what follows them, which may be a hash, only that there is something."""
    path = file.removesuffix(found[0])
    begin, end, rest = found.start("number"), found.end("number"), found.start("rest")
    for number in numbers:
        name = f"{found[0][:begin]}{number:0{end - begin}d}{found[0][end:rest]}"
        yield f"{path}{name}{'*' if found['rest'] else ''}.parquet"
