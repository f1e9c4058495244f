"""What the papers state of how their figures and tables were made, in the grids that make them again."""

from pathlib import Path

import pytest

from pipeline.experiment.collections import open_work
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def classes(grid: Grid) -> set[tuple[int, ...]]:
    """The groups of classes that a grid trains on."""
    return {stage.training.configuration.data.classes or () for stage in grid.stages.values() if stage.kind == "train"}


def test_van_soelens_two_tables_draw_splits_of_their_own(tmp_path: Path) -> None:
    """Their dense networks have means of .794 and .813: on the same ten splits, of n = 10, these would be one."""
    tables = open_work(EXPERIMENTS / "vansoelen2019/tables.yaml", (), tmp_path).grids
    second, third = map(classes, tables)
    assert len(second) == len(third) == 20 and not second & third
    assert not tables[0].stages.keys() & tables[1].stages.keys()
    tests = [grid.spec.analysis.published.tests for grid in tables if grid.spec.analysis.published]
    assert [{test.ticket for test in table} for table in tests] == [{"winning"}, {"redrawn"}]
    means = [sum(test.dense_mean for test in table) / 4 for table in tests]
    assert means == pytest.approx([0.794, 0.8125], abs=0.0005)


def test_the_small_tables_have_the_splits_of_the_large_ones() -> None:
    for table in ("table2", "table3"):
        small, large = (load(EXPERIMENTS / f"vansoelen2019/{table}{end}.yaml") for end in ("-mini", ""))
        assert small.seeds == large.seeds and small.tickets == large.tickets
        assert [side.dataset.split for side in small.sides] == [side.dataset.split for side in large.sides]


def test_mehtas_fashion_mnist_has_the_pixels_of_its_10240_weights(tmp_path: Path) -> None:
    (grid,) = open_work(EXPERIMENTS / "mehta2019/fashion.yaml", (), tmp_path).grids
    totals = {point.ticket: point.total for point in grid.points if point.round == 0}
    assert totals["logistic-regression"] == 10_240
    assert totals["two-layers"] == 1024 * 100 + 100 * 10


def test_mehtas_fashion_mnist_is_trained_for_30_and_for_50_thousand_iterations(tmp_path: Path) -> None:
    (grid,) = open_work(EXPERIMENTS / "mehta2019/fashion.yaml", (), tmp_path).grids
    lengths = {point.target: grid.stages[point.stage].iterations for point in grid.points if point.ticket == "theta-S"}
    assert lengths == {"frozen-two-layers": 30_000, "all-trained": 30_000, "all-trained-50k": 50_000}


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("norb", {0.8001: 0.17, 0.8441: 0.06, 0.902: 0.262}),
        ("one-shot", {0.893: 0.328}),
        ("fashion", {0.917: 0.069, 0.58: 1, 0.65: 1}),
    ],
)
def test_mehtas_numbers_stand_at_the_levels_that_it_states(
    name: str, stated: dict[float, float], tmp_path: Path
) -> None:
    (grid,) = open_work(EXPERIMENTS / f"mehta2019/{name}.yaml", (), tmp_path).grids
    published = grid.spec.analysis.published
    assert published is not None
    for value in published.values:
        left = {
            1 - point.fraction_pruned
            for point in grid.points
            if point.ticket == value.ticket
            and value.target in (None, point.target)
            and value.round in (None, point.round)
        }
        assert list(left) == [pytest.approx(stated[value.value], abs=0.006)]  # 6 % is 5.5 %
    assert {value.value for value in published.values} == stated.keys()
