"""What a job takes along: the grid's files, and this package where the cluster's own is not to be used."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path

import pipeline
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid_files import grid_files

LIMIT = 100 * 2**20
"""Bytes that Ray takes for a job's folder."""
GRIDS = "grids"


@dataclass(frozen=True, slots=True)
class Packed:
    """A folder that becomes a job's working directory."""

    folder: Path
    grid: str
    """The grid's file in it."""
    files: int
    bytes: int


def pack(file: Path, overrides: Sequence[str], folder: Path, *, with_package: bool) -> Packed:
    """Copy what the job needs into `folder`. Raises UserError, also for more than Ray takes."""
    wanted = grid_files(file, overrides)
    missing = [path for path in wanted if not path.is_file()]
    if missing:
        raise UserError(f"{missing[0]}: there is no such file, and the grid names it.")
    root = Path(commonpath([path.parent for path in wanted]))
    copies = {path: Path(GRIDS) / path.relative_to(root) for path in wanted}
    if with_package:
        code = Path(pipeline.__file__).parent
        copies |= {
            path: Path(code.name) / path.relative_to(code)
            for path in code.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
    sizes = {path: path.stat().st_size for path in copies}
    if sum(sizes.values()) > LIMIT:
        largest = max(sizes, key=lambda path: sizes[path])
        raise UserError(
            f"The job would take {sum(sizes.values()):,} bytes along, and Ray takes {LIMIT:,}; "
            f"the largest file is {largest} ({sizes[largest]:,})."
        )
    for path, name in copies.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    return Packed(folder, str(copies[wanted[0]]), len(copies), sum(sizes.values()))
