"""Imports only ever go down: recipes, lottery, experiment, engine, report, cli."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PIPELINE = Path(__file__).parents[1] / "pipeline"
FLOORS = ("recipes", "lottery", "experiment", "engine", "report", "cli")
"""From the ground up."""
THIRD_PARTY = {"torch", "torchvision", "ray", "mlflow", "numpy", "pyarrow", "pydantic", "yaml"}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("floor", FLOORS[:4])
def test_a_floor_imports_nothing_from_above(floor: str) -> None:
    above = FLOORS[FLOORS.index(floor) + 1 :]
    for file in (PIPELINE / floor).rglob("*.py"):
        upwards = [name for name in imported(file) if name.startswith(tuple(f"pipeline.{one}." for one in above))]
        assert not upwards, f"{file}: {upwards}"


def test_the_ground_floor_needs_the_standard_library_alone() -> None:
    for file in (PIPELINE / "recipes").rglob("*.py"):
        needed = {name.partition(".")[0] for name in imported(file)}
        assert not needed & THIRD_PARTY, f"{file}: {needed & THIRD_PARTY}"
