"""Survivors by layer, from records of prunings and trainings."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load
from pipeline.experiment.spec import Spec
from pipeline.report.results import results_table
from pipeline.report.sections.layers import TYPES, survivors_by_layer

GRID = """
name: test
model: {name: lenet, hidden: [30, 10]}
seeds: [0, 1]
prune: {rate: 0.5, rounds: 2, evaluate: [0, 1, 2]}
training: {optimizer: {name: sgd, lr: 0.1}, batch_size: 64, length: 1ep}
sources: [{name: a, dataset: {name: digits, half: a}}, {name: b, dataset: {name: digits, half: b}}]
targets: same
tickets:
  - {name: lucky}
  - {name: late, start: final}
  - {name: random, mask: permuted-globally}
  - {name: moved, mask: permuted-globally, weights: shuffled}
  - {name: shuffled, mask: permuted-within-layers, weights: shuffled}
"""
ORDER = ["two.weight", "one.weight"]
"""The model's, which is not the alphabet's: a store's JSON is sorted, and only the field of a pruning has kept it."""
TOTAL = {"one.weight": 300, "two.weight": 100}


class Snapshot(dict[str, Any]):
    def record(self, key: str) -> Any:
        return self.get(key)


def record(first: int, second: int) -> Any:
    summary = {"survivors": {"one.weight": second, "two.weight": first}, "total": TOTAL, "test_accuracy": 0.5}
    return {"status": "ok", "fields": {}, "summary": summary, "seconds": 1.0, "finished": 1e9}


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    (tmp_path / "grid.yaml").write_text(GRID)
    return load(tmp_path / "grid.yaml")


@pytest.fixture
def grid(spec: Spec) -> Any:
    return expand(spec)


@pytest.fixture
def full(grid: Any) -> Snapshot:
    """Round 1 leaves 40 and 160, round 2 10 and 90; globally permuted masks 50 and 150, 25 and 75."""
    of_round = {0: (100, 300), 1: (40, 160), 2: (10, 90)}
    moved = {0: (100, 300), 1: (50, 150), 2: (25, 75)}
    snapshot = Snapshot()
    for point in grid.points:
        kept = moved if point.ticket in ("random", "moved") else of_round
        snapshot[point.stage] = record(*kept[point.round])
        if point.mask is not None:
            snapshot[point.mask] = record(*of_round[point.round]) | {"fields": {"layers": ORDER}}
    return snapshot


def table_of(grid: Any, snapshot: Any, spec: Spec) -> pd.DataFrame:
    return survivors_by_layer(results_table(grid, snapshot), snapshot, spec)


def test_a_mask_has_a_row_for_each_layer_in_the_models_order(grid: Any, full: Snapshot, spec: Spec) -> None:
    table = table_of(grid, full, spec)
    assert list(table.columns) == list(TYPES)
    mask = table[(table["source"] == "a") & (table["ticket"] == "lucky") & (table["round"] == 1) & (table["seed"] == 0)]
    assert list(mask["layer"]) == ["two.weight", "one.weight"]
    assert list(mask["position"]) == [0, 1]
    assert list(mask["survivors"]) == [40, 160]
    assert list(mask["total"]) == [100, 300]


def test_the_ratio_is_the_layers_fraction_pruned_over_that_of_all_layers(grid: Any, full: Snapshot, spec: Spec) -> None:
    """Round 1: 200 of 400 left; 0.6 and 0.46667 pruned over 0.5. Round 2: 0.9 and 0.7 over 0.75."""
    table = table_of(grid, full, spec)
    mask = table[(table["source"] == "b") & (table["ticket"] == "lucky") & (table["seed"] == 1)]
    assert list(mask["fraction_pruned"]) == pytest.approx([0, 0, 0.6, 7 / 15, 0.9, 0.7])
    assert list(mask["ratio"]) == pytest.approx([math.nan, math.nan, 1.2, 14 / 15, 1.2, 0.7 / 0.75], nan_ok=True)


def test_tickets_that_share_a_mask_are_told_once_and_those_that_move_weights_between_layers_too(
    grid: Any, full: Snapshot, spec: Spec
) -> None:
    table = table_of(grid, full, spec)
    told = table[table["position"] == 0]
    assert not told.duplicated(["source", "ticket", "round", "seed"]).any()
    counts = told.groupby(["source", "ticket"]).size().to_dict()
    # two seeds; rounds 0 to 2 of the chains, rounds 1 and 2 of the controls
    assert counts == {("a", "lucky"): 6, ("b", "lucky"): 6, ("any", "random"): 4, ("a", "moved"): 4, ("b", "moved"): 4}
    moved = told[(told["ticket"] == "moved") & (told["round"] == 2)]
    assert set(moved["survivors"]) == {25}


def test_the_first_target_that_has_a_record_tells_the_controls_layers(grid: Any, full: Snapshot, spec: Spec) -> None:
    for point in grid.points:
        if point.ticket == "random" and point.target == "a":
            del full[point.stage]
    table = table_of(grid, full, spec)
    assert (table["ticket"] == "random").sum() == 2 * 4


def test_masks_that_are_not_there_have_no_rows(grid: Any, spec: Spec) -> None:
    nothing = table_of(grid, Snapshot(), spec)
    assert nothing.empty
    assert list(nothing.columns) == list(TYPES)


def test_a_network_that_is_whole_has_rows_of_the_layers_that_its_source_prunes(
    grid: Any, full: Snapshot, spec: Spec
) -> None:
    """Of round 0, where the summary has all layers: other sources may prune others."""
    for point in grid.points:
        if point.mask is not None and point.source == "b":
            summary = {"survivors": {"two.weight": 50}, "total": {"two.weight": 100}}
            full[point.mask] = record(0, 0) | {"fields": {"layers": ["two.weight"]}, "summary": summary}
    table = table_of(grid, full, spec)
    of_b = table[(table["source"] == "b") & (table["ticket"] == "lucky")]
    assert set(of_b["round"]) == {0, 1, 2} and set(of_b["layer"]) == {"two.weight"}
    whole = table[(table["source"] == "a") & (table["round"] == 0)]
    assert set(whole["layer"]) == set(ORDER)


def test_types_do_not_depend_on_what_is_there(grid: Any, full: Snapshot, spec: Spec) -> None:
    assert list(table_of(grid, Snapshot(), spec).dtypes) == list(table_of(grid, full, spec).dtypes)
