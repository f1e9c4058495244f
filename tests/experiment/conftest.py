"""A small grid as text, and its expansion, for the tests of this floor."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load

SMALL = """\
name: small
model: lenet-20-10
seeds: [0, 1]
training:
  optimizer: {name: sgd, lr: 0.1}
  batch_size: 64
  length: 10ep
prune: {rate: 0.5, rounds: 3}
sources:
  - {dataset: {name: digits, half: a}}
  - dataset: {name: digits, half: b}
targets: same
tickets: [winning, random]
"""

Expand = Callable[..., Grid]


@pytest.fixture
def small() -> str:
    return SMALL


@pytest.fixture
def expanded(tmp_path: Path) -> Expand:
    """`expanded(old=new, ..., overrides=[...])`: the small grid with parts of its text replaced."""

    def make(*replacements: tuple[str, str], overrides: tuple[str, ...] = (), root: Path | None = None) -> Grid:
        text = SMALL
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new, 1)
        file = tmp_path / "grid.yaml"
        file.write_text(text)
        return expand(load(file, overrides), root or tmp_path)

    return make
