"""The key of every stage of every grid below experiments/: a change of it makes the results of everybody's store void.

`python tests/science/test_golden_keys.py DATA` writes golden_keys.json anew: only where a key is meant to change.
"""

import hashlib
import json
import sys
from pathlib import Path

import pytest

from pipeline.experiment.errors import IncompleteError
from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load, members

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
GOLDEN = Path(__file__).with_name("golden_keys.json")


def grids() -> list[Path]:
    """Every file that is a grid: no collection, no part that only others extend."""
    return [file for file in sorted(EXPERIMENTS.rglob("*.yaml")) if members(file) == [file] and _is_whole(file)]


def _is_whole(file: Path) -> bool:
    try:
        load(file)
    except IncompleteError:
        return False
    return True


def digest(file: Path, data: Path) -> str:
    """How many stages, and a digest of their sorted keys."""
    keys = sorted(expand(load(file), data).stages)
    return f"{len(keys)} {hashlib.sha256(' '.join(keys).encode()).hexdigest()[:32]}"


def test_every_grid_has_golden_keys() -> None:
    assert [str(file.relative_to(EXPERIMENTS)) for file in grids()] == list(json.loads(GOLDEN.read_text()))


@pytest.mark.parametrize("name", json.loads(GOLDEN.read_text()))
def test_keys_of_a_grid_are_the_golden_ones(name: str, data_root: Path) -> None:
    assert digest(EXPERIMENTS / name, data_root) == json.loads(GOLDEN.read_text())[name]


if __name__ == "__main__":
    found = {str(file.relative_to(EXPERIMENTS)): digest(file, Path(sys.argv[1])) for file in grids()}
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
