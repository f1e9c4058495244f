"""The files that a grid or a collection is made of: what a run on another machine needs of it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.experiment.errors import UserError
from pipeline.experiment.loading import FILE_KEYS, USER_FILE, bases, members
from pipeline.experiment.papers import KEY
from pipeline.experiment.user_files import split_reference
from pipeline.experiment.yaml_nodes import Node
from pipeline.experiment.yaml_reading import parse, read_file


def grid_files(path: str | Path, overrides: Sequence[str] = ()) -> list[Path]:
    """The file itself, then those that it names or extends and the user's own Python files in them; absolute.

    Raises UserError, also for a file that is named by its absolute path, and for data beside the grid: both are
    somewhere else for whoever has only these files.
    """
    found: set[Path] = set()
    file = Path(path)
    grids = members(file)
    for each in {file, *grids}:
        _collect(each, found)
    for override in overrides:  # read by the loader already, which refuses what is no override
        key, _, written = (part.strip() for part in override.partition("="))
        value = Node({key.rpartition(".")[2]: parse(written, f"--set {override}", lines=False, path=key)})
        for grid in grids:
            found.update(_user_files(value, grid.parent))
    itself = _absolute(file)
    return [itself, *sorted(found - {itself})]


def _collect(file: Path, found: set[Path]) -> None:
    if _absolute(file) in found:
        return
    found.add(_absolute(file))
    document = read_file(file)
    for key in ("extends", "experiments"):
        for name in _names(document, key):
            _refuse_absolute(name)
    found.update(_user_files(document, file.parent))
    for base in bases(file):
        _collect(base, found)


def _names(document: Node, key: str) -> list[str]:
    """What `key` names, one file or several; the loader has refused what is neither."""
    written = document.value.get(key) if isinstance(document.value, dict) else None
    plain = written.plain() if written is not None else []
    return [plain] if isinstance(plain, str) else list(plain)


def _user_files(node: Node, folder: Path) -> Iterator[Path]:
    """The files of `file.py:name`, and papers, in a document of this folder."""
    if isinstance(node.value, list):
        for item in node.value:
            yield from _user_files(item, folder)
    elif isinstance(node.value, dict):
        for key, item in node.value.items():
            if isinstance(item.value, str) and key in FILE_KEYS and USER_FILE.fullmatch(item.value):
                name = split_reference(item.value)[0]
                _refuse_absolute(name)
                yield _absolute(folder / name)
            elif isinstance(item.value, str) and key == KEY:
                _refuse_absolute(item.value)
                yield _absolute(folder / item.value)
            elif isinstance(item.value, str) and key == "path" and item.value.startswith(("./", "../")):
                raise UserError(
                    f"{item.path or key}: {item.value} is beside the grid, and data are not sent along. Give a path "
                    "below the data root (--data), an absolute one, or a URI."
                )
            else:
                yield from _user_files(item, folder)


def _refuse_absolute(written: str) -> None:
    if Path(written).is_absolute():
        raise UserError(f"{written}: name this file relative to the grid's folder, so that it is found elsewhere too.")


def _absolute(path: Path) -> Path:
    """Links stay links: what a linked file names is looked for beside the link."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` follows links
