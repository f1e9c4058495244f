"""Grid files by folder: whole grids and collections, and the parts that others extend or name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.experiment.errors import IncompleteError, UserError
from pipeline.experiment.loading import bases, load
from pipeline.experiment.papers import is_paper
from pipeline.experiment.yaml_reading import read_file

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class GridFolder:
    """What is asked for of one folder, in order."""

    path: Path
    grids: tuple[Path, ...]
    """Files that are to be planned, also those that turn out to be wrong."""
    parts: tuple[Path, ...]
    """Papers, and files that another one extends and that are no grids: something that a grid needs is missing."""
    unopened: tuple[Path, ...]
    """Folders in it that hold YAML files and are not asked for; empty unless the folder itself is asked for."""


def by_folder(paths: Sequence[Path]) -> list[GridFolder]:
    """The YAML files among `paths` and those directly in the folders among them, each file once."""
    asked: dict[Path, list[Path]] = {}
    seen: set[Path] = set()
    for path in paths:
        files = asked.setdefault(path if path.is_dir() else path.parent, [])
        for file in _yaml_files(path) if path.is_dir() else [path]:
            if file.resolve() not in seen:
                files.append(file)
                seen.add(file.resolve())
    around = {file.resolve(): file for files in asked.values() for file in files}
    around |= {file.resolve(): file for folder in asked if folder.is_dir() for file in _yaml_files(folder)}
    extended = {base for file in around.values() for base in _bases(file)}
    found = []
    for folder, files in asked.items():
        if not files and _yaml_files(folder):  # all of them were named before, in other words
            continue
        parts = tuple(
            file for file in files if _is_paper(file) or (file.resolve() in extended and _is_incomplete(file))
        )
        inside = sorted(path for path in folder.iterdir() if path.is_dir()) if folder in paths else []
        unopened = tuple(path for path in inside if path not in asked and _yaml_files(path))
        found.append(GridFolder(folder, tuple(file for file in files if file not in parts), parts, unopened))
    return found


def _yaml_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES and file.is_file())


def _bases(file: Path) -> set[Path]:
    try:
        return {base.resolve() for base in bases(file)}
    except UserError:  # said when the file itself is planned
        return set()


def _is_paper(file: Path) -> bool:
    try:
        return is_paper(read_file(file))
    except UserError:  # said when the file itself is planned
        return False


def _is_incomplete(file: Path) -> bool:
    try:
        load(file)
    except IncompleteError:
        return True
    except UserError:
        return False
    return False
