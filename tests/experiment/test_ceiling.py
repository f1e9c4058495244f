"""A grid that plans more than `max_stages` is refused from its sizes, before it fills the memory."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.experiment import variants
from pipeline.experiment.ceiling import stages_at_least
from pipeline.experiment.chains import Chain
from pipeline.experiment.collections import open_work
from pipeline.experiment.errors import IncompleteError, UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load, members

RATES = "{dataset: digits, grid: {training.optimizer.lr: [%s]}}"
DRAWN = "{name: a, mask: permuted-globally, draws: 1000}"
FIRST = "{dataset: {name: digits, half: a}}"


def rates(count: int) -> str:
    return RATES % ", ".join(f"{(number + 1) / 10_000:.4f}" for number in range(count))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[0, 1]", "100000", "grid.yaml:3: seeds: this grid plans at least 2,400,000 stages, more than max"),
        ("rate: 0.5, rounds: 3", "rate: 0.001, rounds: 10000", "targets (2) x rounds (10,000)"),
        (FIRST, rates(300), "grid.yaml:9: sources: this grid plans at least 547,218 stages"),
        (FIRST, rates(1500), "pairs of a source and a target, more than 2,000,000."),
        ("random]", f"{DRAWN}, {{name: b, weights: redrawn, draws: 1000}}]", "tickets (2,001)"),
    ],
)  # fmt: skip
def test_an_explosion_is_refused_at_the_field_that_makes_it_within_seconds_and_without_expansion(
    expanded: Callable[..., Grid], monkeypatch: pytest.MonkeyPatch, old: str, new: str, said: str
) -> None:
    monkeypatch.setattr("pipeline.experiment.expansion.Resolving", lambda *_: pytest.fail("expanded"))
    more = [("[0, 1]", "300")] if "draws" in new or "rounds" in new else []
    begin = time.process_time()
    with pytest.raises(UserError) as refused:
        expanded((old, new), *more)
    assert said in str(refused.value)
    if "pairs" not in said:
        assert str(refused.value).endswith("Lower one of them, or raise max_stages if it is meant.")
    assert time.process_time() - begin < 8


def test_pairs_that_take_minutes_to_look_up_are_refused_before(tmp_path: Path) -> None:
    """Each source, with each target, in each line of `pairs`."""
    sides = "\n".join(f"  - {{name: s{number}, dataset: digits}}" for number in range(120))
    lines = ", ".join(f"[s{number}, s0]" for number in range(120)) + ", [s1, s2]" * 30
    file = tmp_path / "grid.yaml"
    file.write_text(
        "name: g\nmodel: lenet-4\nseeds: [0]\ntraining: {length: 1ep, batch_size: 64}\nprune: {rounds: 1}\n"
        "max_stages: 10000000\ntickets: [winning]\n"
        f"sources:\n{sides}\ntargets:\n{sides}\npairs: {{only: [{lines}]}}\n"
    )
    with pytest.raises(UserError, match=r"2,160,000 pairs of a source and a target, each looked up in every line of"):
        expand(load(file))


def test_a_grid_of_exactly_max_stages_is_planned_and_one_more_is_not(expanded: Callable[..., Grid]) -> None:
    stages = len(expanded().stages)
    assert len(expanded(overrides=(f"max_stages={stages}",)).stages) == stages
    with pytest.raises(UserError, match=rf"at least \d+ stages, more than max_stages \({stages - 1}\)"):
        expanded(overrides=(f"max_stages={stages - 1}",))


def test_the_ceiling_is_in_no_key_and_can_be_raised(expanded: Callable[..., Grid]) -> None:
    assert list(expanded(overrides=("max_stages=1000000",)).stages) == list(expanded().stages)


def test_what_one_seed_plans_is_multiplied_before_the_next_is_expanded(
    expanded: Callable[..., Grid], monkeypatch: pytest.MonkeyPatch
) -> None:
    # dense networks are not in the lower bound: it takes the first seed to see them
    planned = len(expanded(("[0, 1]", "30")).stages)
    seeds, build = [], Chain.build

    def noted(*given: Any) -> Chain:
        seeds.append(given[3])
        return build(*given)

    monkeypatch.setattr(Chain, "build", noted)
    with pytest.raises(UserError, match=rf"at least {planned:,} stages, more than max_stages \({planned - 1:,}\)"):
        expanded(("[0, 1]", "30"), overrides=(f"max_stages={planned - 1}",))
    assert set(seeds) == {0}


def test_the_lower_bound_is_below_what_is_planned_for_every_grid_of_the_project() -> None:
    shares = {}
    for file in sorted(Path(__file__).parents[2].glob("experiments/**/*.yaml")):
        try:
            spec = load(file, ["seeds=[0]"]) if members(file) == [file] else None
        except IncompleteError:
            continue
        if spec is not None:
            try:
                shares[file.name] = stages_at_least(spec) / len(expand(spec).stages)
            except UserError:  # its data are not here
                continue
    assert len(shares) > 10 and max(shares.values()) <= 1
    assert sorted(shares.values())[len(shares) // 2] > 0.5


def test_results_are_counted_where_sources_share_their_controls(expanded: Callable[..., Grid]) -> None:
    with pytest.raises(UserError, match=r"at least 1,323,000 results, more than 10 x max_stages \(80,000\)"):
        expanded(("[winning, random]", f"[{DRAWN}]"), (FIRST, rates(20)), overrides=("max_stages=80000", "seeds=1"))


def test_the_ceiling_of_a_collection_is_the_largest_of_its_grids(tmp_path: Path, small: str) -> None:
    for number in (1, 2, 3):
        own = small.replace("small", f"small-{number}").replace("lr: 0.1", f"lr: 0.{number}")
        (tmp_path / f"{number}.yaml").write_text(own + "max_stages: 100\n")
    file = tmp_path / "all.yaml"
    file.write_text("experiments: [1.yaml, 2.yaml, 3.yaml]\n")
    with pytest.raises(
        UserError, match=r"all.yaml: these experiments plan at least 1\d\d stages, more than .* \(100\)"
    ):
        open_work(file, data_root=tmp_path)
    assert len(open_work(file, ["max_stages=1000"], tmp_path).stages) > 100


def test_files_that_extend_one_another_twice_each_are_read_so_often_only(tmp_path: Path) -> None:
    for number in range(18):
        (tmp_path / f"{number}.yaml").write_text(f"extends: [{number + 1}.yaml, {number + 1}.yaml]\n")
    (tmp_path / "18.yaml").write_text("name: x\n")
    with pytest.raises(UserError, match=r"\d+.yaml:1: extends: more than 200 files are read for one grid"):
        load(tmp_path / "0.yaml")


def test_variants_of_a_huge_entry_are_refused_before_they_fill_the_memory(
    expanded: Callable[..., Grid], monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = f"{{name: digits, classes: [{', '.join(['1'] * 300)}]}}"
    monkeypatch.setattr(variants, "MAX_VALUES", 100_000)
    with pytest.raises(UserError, match=r"grid.yaml:10: sources.0: .* more than 100,000 values"):
        expanded((FIRST, rates(400).replace("digits", huge, 1)))
