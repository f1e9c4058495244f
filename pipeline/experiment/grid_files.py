"""The files that a grid or a collection is made of: what a run on another machine needs of it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.experiment.errors import UserError
from pipeline.experiment.loading import FILE_KEYS, USER_FILE, bases, members
from pipeline.experiment.user_files import split_reference
from pipeline.experiment.yaml_nodes import Node
from pipeline.experiment.yaml_reading import parse, read_file


def grid_files(path: str | Path, overrides: Sequence[str] = ()) -> list[Path]:
    """The file itself, then those that it names or extends and the user's own Python files in them; absolute.

    Raises UserError, also for a file that is named by its absolute path: it has another one elsewhere.
    """
    found: set[Path] = set()
    file = Path(path)
    for member in {file, *members(file)}:
        _collect(member, found)
    for override in overrides:  # read by the loader already, which refuses what is no override
        key, _, written = override.partition("=")
        value = parse(written, f"--set {override}", lines=False, path=key)
        found.update(_user_files(Node({key.rpartition(".")[2]: value}), file.parent))
    itself = _absolute(file)
    return [itself, *sorted(found - {itself})]


def _collect(file: Path, found: set[Path]) -> None:
    if _absolute(file) in found:
        return
    found.add(_absolute(file))
    found.update(_user_files(read_file(file), file.parent))
    for base in bases(file):
        _collect(base, found)


def _user_files(node: Node, folder: Path) -> Iterator[Path]:
    """The files of `file.py:name` in a document of this folder."""
    if isinstance(node.value, list):
        for item in node.value:
            yield from _user_files(item, folder)
    elif isinstance(node.value, dict):
        for key, item in node.value.items():
            if isinstance(item.value, str) and key in FILE_KEYS and USER_FILE.fullmatch(item.value):
                yield _beside(split_reference(item.value)[0], folder)
            else:
                yield from _user_files(item, folder)


def _beside(written: str, folder: Path) -> Path:
    if Path(written).is_absolute():
        raise UserError(f"{written}: name this file relative to the grid's folder, so that it is found elsewhere too.")
    return _absolute(folder / written)


def _absolute(path: Path) -> Path:
    """Links stay links: what a linked file names is looked for beside the link."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` follows links
