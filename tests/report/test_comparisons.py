"""What is compared with what, at which level, and what stands where nothing can be compared."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.experiment.loading import load
from pipeline.experiment.spec import Spec
from pipeline.report.analysis.comparisons import COLUMNS, at_level, chosen_level, comparisons, levels, reach
from pipeline.report.analysis.pairings import own_sources
from pipeline.report.rows import rows_of

GRID = """
name: test
model: {name: lenet, hidden: [30, 10]}
seeds: [0, 1, 2]
prune: {rate: 0.5, rounds: 3, evaluate: [0, 1, 2, 3]}
training: {optimizer: {name: sgd, lr: 0.1}, batch_size: 64, length: 1ep}
sources:
  - {name: a, dataset: {name: digits, half: a}}
  - {name: b, dataset: {name: digits, half: b}}
targets:
  - {name: on-a, dataset: {name: digits, half: a}}
  - {name: on-b, dataset: {name: digits, half: b}}
  - {name: other, dataset: {name: digits, classes: [0, 1]}}
tickets:
  - winning
  - {name: random, mask: permuted-globally}
"""


@pytest.fixture
def spec_of(tmp_path: Path) -> Callable[..., Any]:
    def make(*overrides: str, grid: str = GRID) -> Spec:
        (tmp_path / "grid.yaml").write_text(grid)
        return load(tmp_path / "grid.yaml", overrides)

    return make


def row(
    source: str,
    target: str,
    ticket: str,
    number: int,
    seed: int,
    accuracy: float,
    survivors: int | None = None,
    total: int = 1000,
) -> Any:
    survivors = round(total * 0.5**number) if survivors is None else survivors
    return {
        "experiment": "test",
        "model": "lenet",
        "source": source,
        "target": target,
        "source_optimizer": "sgd",
        "target_optimizer": "sgd",
        "ticket": ticket,
        "round": number,
        "seed": seed,
        "fraction_pruned": 1 - survivors / total,
        "survivors": survivors,
        "total": total,
        "test_accuracy": accuracy,
        "status": "missing" if math.isnan(accuracy) else "ok",
    }


def curve(
    source: str, target: str, ticket: str, number: int = 1, accuracies: Any = (0.9, 0.92, 0.97), **more: Any
) -> Any:
    return [row(source, target, ticket, number, seed, value, **more) for seed, value in enumerate(accuracies)]


def pairs(spec: Spec, *parts: Any) -> pd.DataFrame:
    return comparisons(pd.DataFrame([entry for part in parts for entry in part]), spec)


def of(table: pd.DataFrame, comparison: str) -> pd.DataFrame:
    return table[table["comparison"] == comparison]


LOW = (0.5, 0.61, 0.55)
OTHER_LEVEL = "the target's own ticket was not evaluated with as many weights left"


def test_a_control_of_any_source_is_beside_the_tickets_of_every_source(spec_of: Callable[..., Spec]) -> None:
    table = pairs(
        spec_of(), curve("a", "on-a", "winning"), curve("b", "on-a", "winning"), curve("any", "on-a", "random", 1, LOW)
    )
    rows = of(table, "control")
    assert list(rows["source"]) == ["a", "b"]
    assert set(rows["reference_source"]) == {"any"}
    assert list(rows["n"]) == [3, 3]


def test_a_control_of_a_source_is_beside_that_sources_tickets_only(spec_of: Callable[..., Spec]) -> None:
    table = pairs(
        spec_of(),
        *(curve(source, "on-a", "winning") for source in "ab"),
        curve("a", "on-a", "random", 1, LOW),
        curve("b", "on-a", "random", 1, (0.1, 0.2, 0.4)),
    )
    rows = of(table, "control")
    assert list(rows["reference_source"]) == ["a", "b"]
    assert list(rows["difference"]) == pytest.approx([2.79 / 3 - 1.66 / 3, 2.79 / 3 - 0.7 / 3])


def test_only_equally_many_survivors_are_compared_with_a_control(spec_of: Callable[..., Spec]) -> None:
    table = pairs(spec_of(), curve("a", "on-a", "winning"), curve("any", "on-a", "random", 1, LOW, survivors=499))
    (found,) = rows_of(of(table, "control"))
    assert (found.n, found.remark) == (0, "the reference has another number of survivors")
    assert math.isnan(found.difference)


def test_a_control_that_the_grid_does_not_have_says_so(spec_of: Callable[..., Spec]) -> None:
    table = pairs(spec_of(), curve("a", "on-a", "winning", 0), curve("any", "on-a", "random", 1, LOW))
    (found,) = rows_of(of(table, "control"))
    assert (found.n, found.remark) == (0, "the grid has no random ticket of this round")
    assert found.reference_source == "any"


def test_winning_kinds_are_told_by_what_they_are_and_not_by_their_name(spec_of: Callable[..., Spec]) -> None:
    spec = spec_of(
        "tickets=[{name: late, start: final}, {name: winning, weights: redrawn}, {name: early}]",
    )
    table = pairs(spec, *(curve("a", "on-a", name, 1, LOW) for name in ("late", "winning", "early")))
    rows = of(table, "control")
    assert list(rows["ticket"]) == ["late", "early"]
    assert set(rows["reference"]) == {"winning"}


def test_a_transferred_ticket_is_beside_that_of_the_targets_own_source(spec_of: Callable[..., Spec]) -> None:
    table = pairs(
        spec_of(), curve("a", "on-a", "winning"), curve("b", "on-a", "winning", 1, LOW), curve("a", "on-b", "winning")
    )
    rows = of(table, "transfer")
    assert list(rows["source"] + " " + rows["target"]) == ["b on-a", "a on-b"]
    assert list(rows["reference_source"]) == ["a", "b"]
    assert rows["difference"].iloc[0] == pytest.approx((1.66 - 2.79) / 3)
    assert rows["remark"].iloc[1] == OTHER_LEVEL


def test_a_target_that_no_source_trains_on_says_so(spec_of: Callable[..., Spec]) -> None:
    (found,) = rows_of(of(pairs(spec_of(), curve("a", "other", "winning")), "transfer"))
    assert found.reference_source is pd.NA
    assert (found.n, found.remark) == (0, "no source is this target's own")


@pytest.mark.parametrize(("survivors", "compared"), [(502, True), (498, True), (497, False), (503, False)])
def test_transfers_are_compared_where_the_weights_left_are_one_level(
    spec_of: Callable[..., Spec], survivors: int, compared: pd.DataFrame
) -> None:
    table = pairs(spec_of(), curve("a", "on-a", "winning"), curve("b", "on-a", "winning", 1, LOW, survivors=survivors))
    (found,) = rows_of(of(table, "transfer"))
    assert (found.n == 3) == compared
    assert found.remark == ("" if compared else OTHER_LEVEL)


def test_transfers_are_compared_at_equal_level_whatever_the_rounds(spec_of: Callable[..., Spec]) -> None:
    """Two rounds at a rate of 0.2 and one at a rate of 0.36 leave 64 %."""
    fine = [curve("a", "on-a", "winning", number, survivors=left) for number, left in ((1, 800), (2, 640))]
    coarse = [curve("b", "on-a", "winning", number, LOW, survivors=left) for number, left in ((1, 640), (2, 410))]
    rows = of(pairs(spec_of(), *fine, *coarse), "transfer")
    assert list(rows[["round", "left", "n", "remark"]].itertuples(index=False, name=None)) == [
        (1, 0.64, 3, ""),
        (2, 0.41, 0, OTHER_LEVEL),
    ]
    assert rows["difference"].iloc[0] == pytest.approx((1.66 - 2.79) / 3)


def test_chains_that_differ_by_a_weight_are_tested_as_one_family(spec_of: Callable[..., Spec]) -> None:
    table = pairs(
        spec_of(),
        curve("a", "on-a", "winning", survivors=2016, total=23472),
        curve("b", "on-a", "winning", survivors=2015, total=23472),
        curve("a", "on-a", "random", 1, LOW, survivors=2016, total=23472),
        curve("b", "on-a", "random", 1, LOW, survivors=2015, total=23472),
    )
    assert levels(table) == [0.0859]
    assert list(of(table, "control")["tests"]) == [2, 2]


def test_of_several_rounds_of_a_curve_at_one_level_the_first_is_compared(spec_of: Callable[..., Spec]) -> None:
    """Rounds 4, 5 and 6 keep two weights each."""
    kept = {1: 500, 2: 250, 4: 2, 5: 2, 6: 2}
    shifted = [tuple(value - 0.01 * number for value in (0.9, 0.92, 0.97)) for number in kept]
    parts = [
        curve(source, target, "winning", number, values, survivors=kept[number])
        for source, target in (("a", "on-a"), ("b", "on-a"), ("b", "on-b"), ("a", "on-b"))
        for number, values in zip(kept, shifted, strict=True)
    ]
    parts += [
        curve("any", target, "random", number, LOW, survivors=kept[number])
        for target in ("on-a", "on-b")
        for number in kept
    ]
    parts += [curve("any", target, "dense", 0, LOW, survivors=1000) for target in ("on-a", "on-b")]
    # whatever the order of the rows
    table = pairs(spec_of(), *parts[::-1])
    assert set(at_level(table, 0.002)["round"]) == {4}
    assert set(table["round"]) == {1, 2, 4}
    assert_unique(table)
    assert (of(at_level(table, 0.002), "control")["tests"] == 4).all()


def assert_unique(table: pd.DataFrame) -> None:
    """One row a cell and level, and as many tests in a family as it has cells that can be tested."""
    cell = ["comparison", "source", "target", "ticket", "reference", "left"]
    assert len(table) > 0
    assert not table.duplicated(cell).any()
    for _, family in table.groupby(["comparison", "ticket", "reference", "left"]):
        assert (family["tests"] == (family["remark"] == "").sum()).all()


def test_the_same_data_with_another_training_is_another_source(spec_of: Callable[..., Spec]) -> None:
    spec = spec_of("sources=[{name: a, dataset: {name: digits, half: a}, training: {length: 2ep}}]")
    assert own_sources(spec, spec.targets[0]) == []
    spec = spec_of("sources=[{name: a, dataset: {name: digits, half: a}, resources: {workers: 2}}]")
    assert own_sources(spec, spec.targets[0]) == []
    spec = spec_of("sources=[{name: a, dataset: {name: digits, half: a}, resources: {cpus_per_worker: 2}}]")
    assert [source.name for source in own_sources(spec, spec.targets[0])] == ["a"]


PRUNED_TWICE = GRID.replace(
    "targets:",
    """  - {name: a-slow, dataset: {name: digits, half: a}, prune: {rate: 0.2, rounds: 3}}
  - {name: b-slow, dataset: {name: digits, half: b}, prune: {rate: 0.2, rounds: 3}}
  - {name: b-layers, dataset: {name: digits, half: b}, prune: {scope: layerwise}}
targets:""",
)


def test_of_several_own_sources_one_is_the_reference_the_one_that_prunes_alike_or_else_the_first(
    spec_of: Callable[..., Spec],
) -> None:
    spec = spec_of(grid=PRUNED_TWICE)
    names = ("a", "a-slow", "b", "b-slow", "b-layers")
    table = pairs(spec, *(curve(name, "on-a", "winning") for name in names))
    rows = of(table, "transfer")
    assert list(rows["source"] + " " + rows["reference_source"]) == ["b a", "b-slow a-slow", "b-layers a"]
    assert_unique(table)


def test_tickets_of_every_round_are_beside_the_dense_network(spec_of: Callable[..., Spec]) -> None:
    table = pairs(
        spec_of(),
        *(curve("a", "on-a", "winning", number) for number in (0, 1, 2)),
        curve("any", "on-a", "dense", 0, LOW),
        curve("any", "on-a", "random", 1, LOW),
    )
    rows = of(table, "dense")
    assert list(rows["round"]) == [0, 1, 2]
    assert list(rows["difference"]) == pytest.approx([(2.79 - 1.66) / 3] * 3)
    assert set(rows["reference_source"]) == {"any"}


def test_a_grid_without_dense_networks_compares_with_none(spec_of: Callable[..., Spec]) -> None:
    assert of(pairs(spec_of(), curve("a", "on-a", "winning")), "dense").empty


def test_seeds_are_paired_by_seed(spec_of: Callable[..., Spec]) -> None:
    winning, control = curve("a", "on-a", "winning"), curve("any", "on-a", "random", 1, LOW)
    straight = pairs(spec_of(), winning, control)
    pd.testing.assert_frame_equal(pairs(spec_of(), winning, control[::-1]), straight)


def test_a_margin_of_the_spec_decides_what_is_equivalent(spec_of: Callable[..., Spec]) -> None:
    parts = curve("a", "on-a", "winning"), curve("b", "on-a", "winning", 1, (0.901, 0.919, 0.971))
    narrow = of(pairs(spec_of("analysis.margin=0.001"), *parts), "transfer").iloc[0]
    wide = of(pairs(spec_of("analysis.margin=0.05"), *parts), "transfer").iloc[0]
    assert (narrow["equivalent"], wide["equivalent"]) == (False, True)
    assert (narrow["margin"], wide["margin"]) == (0.001, 0.05)


def test_a_table_without_rows_has_the_same_columns(spec_of: Callable[..., Spec]) -> None:
    empty = pairs(spec_of(), curve("a", "on-a", "random"))
    assert empty.empty
    assert list(empty.columns) == COLUMNS
    assert levels(empty) == []
    assert chosen_level(empty, None) is None
    nothing = comparisons(pd.DataFrame([row("a", "on-a", "winning", 1, 0, 0.9)]).iloc[:0], spec_of())
    assert list(nothing.columns) == COLUMNS


@pytest.fixture
def three_levels(spec_of: Callable[..., Spec]) -> Any:
    """Source b has no result at the last round yet."""
    nothing = (math.nan,) * 3
    parts = [curve("a", "on-a", "winning", number) for number in (1, 2, 3)]
    parts += [curve("b", "on-a", "winning", number, LOW if number < 3 else nothing) for number in (1, 2, 3)]
    return pairs(spec_of(), *parts, curve("any", "on-a", "dense", 0, LOW))


def test_levels_are_descending(three_levels: Any) -> None:
    assert levels(three_levels) == [0.5, 0.25, 0.125]


def test_the_level_chosen_is_the_most_pruned_one_at_which_every_source_has_results(three_levels: Any) -> None:
    assert chosen_level(three_levels, None) == 0.25
    assert chosen_level(three_levels[three_levels["source"] == "a"], None) == 0.125


def test_while_there_are_no_results_the_level_is_the_last_that_all_sources_have(three_levels: Any) -> None:
    unfinished = three_levels.assign(n=0)
    assert chosen_level(unfinished, None) == 0.125
    shorter = unfinished[(unfinished["source"] == "a") | (unfinished["round"] == 1)]
    assert chosen_level(shorter, None) == 0.5


def test_where_sources_share_no_level_the_most_pruned_one_with_results_is_chosen(three_levels: Any) -> None:
    apart = three_levels[(three_levels["source"] == "a") == (three_levels["round"] == 1)]
    assert set(apart.loc[apart["n"] > 0, "left"]) == {0.5, 0.25}
    assert chosen_level(apart, None) == 0.25


def test_a_network_without_weights_is_chosen_only_where_there_is_no_other(spec_of: Callable[..., Spec]) -> None:
    gone = pairs(spec_of(), curve("a", "on-a", "winning", 3, survivors=0), curve("any", "on-a", "dense", 0, LOW))
    assert chosen_level(gone, None) == chosen_level(gone, 0.9) == 0
    parts = [curve("a", "on-a", "winning", number, survivors=left) for number, left in ((1, 500), (3, 0))]
    some = pairs(spec_of(), *parts, curve("any", "on-a", "dense", 0, LOW))
    assert chosen_level(some, None) == chosen_level(some, 0.9999) == 0.5


@pytest.mark.parametrize(("fraction", "level"), [(0.0, 0.5), (0.64, 0.5), (0.68, 0.25), (0.87, 0.125), (0.9999, 0.125)])
def test_a_level_asked_for_is_the_nearest_on_the_logarithmic_axis(
    three_levels: Any, fraction: float, level: float
) -> None:
    """0.36 left is nearer to 0.5 (0.36 / 0.5 = 0.72) than to 0.25 (0.25 / 0.36 = 0.69); 0.32 is not (0.64, 0.78)."""
    assert chosen_level(three_levels, fraction) == level


def test_rows_at_a_level_are_all_that_are_there(three_levels: Any) -> None:
    assert set(at_level(three_levels, 0.25)["round"]) == {2}
    assert at_level(three_levels, None).empty


def dense_rows(**shown: Any) -> pd.DataFrame:
    """A source's comparisons with dense: level -> p of non-inferiority."""
    return pd.DataFrame(
        [
            {"source": source, "target": "t", "ticket": "winning", "left": left, "p_noninferior": p}
            for source, by_level in shown.items()
            for left, p in by_level.items()
        ]
    )


def test_how_far_is_the_last_level_before_the_first_at_which_it_is_not_shown() -> None:
    nan = math.nan
    table = dense_rows(
        whole={0.5: 0.01, 0.25: 0.02, 0.1: 0.04},
        stops={0.1: 0.01, 0.25: 0.2, 0.5: 0.01},
        never={0.5: 0.06, 0.25: 0.001},
        untested={0.5: nan, 0.25: nan},
        gap={0.5: 0.01, 0.25: nan, 0.1: 0.01},
        round0={1.0: nan, 0.5: 0.01},
    )
    far = reach(table).set_index("source")
    assert far["left"].to_dict() == pytest.approx(
        {"whole": 0.1, "stops": 0.5, "never": nan, "untested": nan, "gap": 0.5, "round0": 0.5}, nan_ok=True
    )
    assert far["tested"].to_dict() == {"whole": 3, "stops": 3, "never": 2, "untested": 0, "gap": 2, "round0": 1}


def test_a_target_that_trains_nothing_is_its_datas_own(spec_of: Callable[..., Spec]) -> None:
    spec = spec_of("targets.0.training={length: 0it}", "targets.2.training={length: 0it}")
    own = {target.name: [source.name for source in own_sources(spec, target)] for target in spec.targets}
    assert own == {"on-a": ["a"], "on-b": ["b"], "other": []}
