"""What the transfer papers need of a grid: classes split by seed, frozen features, other heads, baselines."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from pipeline.experiment.class_splits import part_of
from pipeline.experiment.datasets import OwnSplit, Split
from pipeline.experiment.errors import UserError
from pipeline.experiment.evaluations import dense_draw
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid, Point
from pipeline.experiment.loading import load
from pipeline.experiment.stages import Stage
from pipeline.recipes.errors import UnfitError

GRID = """
name: transfer
model: {name: resnet20, width: 4}
seeds: 3
training: {optimizer: {name: sgd, lr: 0.05}, batch_size: 32, length: 60it}
prune: {rate: 0.5, rounds: 2, rewind: none, evaluate: [0, 1, 2]}
sources: [{name: low, dataset: {name: digits, split: {seed: each}}}]
targets:
  - {name: frozen, dataset: {name: digits, split: {seed: each, part: 1}}, training: {frozen: features}}
  - {name: two-layers, model: {head: [10]}, dataset: {name: digits, split: {seed: each, part: 1}}}
tickets: [{name: late-reset, start: final}, {name: redrawn, mask: preserved, weights: redrawn}]
"""

Made = Callable[..., Grid]


def written(stage: Stage) -> dict[str, Any]:
    """The fields of a stage's recipe, as a store has them."""
    return {**stage.recipe.fields()}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """`made(more, overrides)`: the grid with more text below."""

    def make(more: str = "", *overrides: str) -> Grid:
        file = tmp_path / "grid.yaml"
        file.write_text(GRID + more)
        return expand(load(file, list(overrides)), tmp_path)

    return make


def points(grid: Grid, **wanted: object) -> list[Point]:
    return [p for p in grid.points if all(getattr(p, name) == value for name, value in wanted.items())]


def test_ten_seeds_split_ten_classes_in_ten_different_ways_and_parts_are_disjoint() -> None:
    classes = list(range(10))
    splits = [[part_of(classes, OwnSplit(seed=seed, part=part)) for part in (0, 1)] for seed in range(10)]
    for one, other in splits:
        assert len(one) == len(other) == 5 and sorted(one + other) == classes
    assert all(one != other for one, other in combinations(splits, 2))


def test_no_two_of_all_possible_splits_are_the_same_and_there_are_no_more() -> None:
    classes = list(range(5))
    splits = {tuple(part_of(classes, OwnSplit(seed=seed))) for seed in range(10)}
    assert len(splits) == 10  # 5! / (2! 3!)
    with pytest.raises(UnfitError, match="of 5 classes in 2 groups seeds 0 to 9 do: the seed 10 has none"):
        part_of(classes, OwnSplit(seed=10))


def test_a_split_by_seed_shares_its_stages_with_the_same_classes_written_out(made: Made) -> None:
    grid = made()
    for seed in range(3):
        (point,) = points(grid, target="frozen", ticket="late-reset", round=0, seed=seed)
        fields = written(grid.stages[point.stage])
        assert fields["data"]["classes"] == part_of(range(10), Split(seed=seed, part=1))
        source = next(s for s in grid.stages.values() if s.label == f"low seed {seed} dense")
        assert set(written(source)["data"]["classes"]).isdisjoint(fields["data"]["classes"])


def test_only_targets_can_be_frozen_and_their_head_can_be_another(made: Made) -> None:
    grid = made()
    kinds = {
        (p.target, written(stage).get("frozen"), tuple(written(stage)["model"].get("head", ())))
        for p in grid.points
        for stage in [grid.stages[p.stage]]
    }
    assert kinds == {("frozen", "features", ()), ("two-layers", None, (10,))}
    for point in points(grid, target="two-layers", ticket="late-reset"):
        assert written(grid.stages[point.stage])["start"]["head"] == "redraw"
    with pytest.raises(UserError, match=r"training.frozen: a ticket is found by training .* freeze on targets"):
        made("", "sources.0.training.frozen=features")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("head=keep", "the head of 'low' cannot be kept where 'two-layers' has another one"),
        ("sources.0.prune.prune_output=true", "does not fit target 'two-layers', whose head is another one"),
        ("targets.0.dataset.margin=2", "margin: keeps pixels around a crop: give crop, too"),
        ("targets.0.training.augment={window: true}", "window: needs more than is seen"),
        ("training.lr_decay={at: [20it, 40it], to: [0.01]}", "to: has 1 rates for the 2 moments of at"),
        ("training.lr_decay={at: [40it, 20it], to: [0.01, 0.02]}", "at: should increase where rates are given"),
        ("training.lr_decay={at: [40it], to: [0.01], factor: 0.1}", "cannot go with to: remove one of the two"),
        ("dense=twice", "dense: .*repeated"),
        ("seeds=[300]", "seeds 0 to 251 do: the seed 300 has none"),
    ],
)
def test_what_is_impossible_is_refused_in_words(made: Made, override: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        made("", override)


def test_rates_can_be_given_for_each_moment(made: Made) -> None:
    grid = made("", "training.lr_decay={at: [20it, 40it], to: [0.01, 0.002]}")
    assert all(
        written(stage)["lr_decay"] == {"at": [20, 40], "to": [0.01, 0.002]}
        for stage in grid.stages.values()
        if stage.kind == "train"
    )


BASELINES = """
baselines:
  - {name: regression, target: frozen, model: linear, training: {optimizer: {lr: 0.01}}}
  - {name: two layers, target: two-layers, model: lenet-10}
"""


def test_a_baseline_is_another_models_dense_network_on_the_data_of_its_target(made: Made) -> None:
    grid = made(BASELINES.replace("two layers", "perceptron-of-two-layers"))
    for target, name, model, lr in (
        ("frozen", "regression", {"name": "linear"}, 0.01),
        ("two-layers", "perceptron-of-two-layers", {"name": "lenet", "hidden": [10]}, 0.05),
    ):
        found = points(grid, ticket=name)
        assert [(p.source, p.target, p.seed, p.fraction_pruned) for p in found] == [
            ("any", target, seed, 0.0) for seed in range(3)
        ]
        fields = written(grid.stages[found[0].stage])
        (beside,) = points(grid, ticket="dense", target=target, seed=0)
        assert fields["model"] == model and fields["optimizer"]["lr"] == lr
        assert "frozen" not in fields and "start" not in fields
        assert fields["data"]["classes"] == written(grid.stages[beside.stage])["data"]["classes"]


def test_a_baseline_needs_a_target_and_a_name_of_its_own(made: Made) -> None:
    with pytest.raises(UserError, match=r"there is no target .frosen.\. Did you mean .frozen."):
        made("baselines: [{name: regression, target: frosen, model: linear}]")
    with pytest.raises(UserError, match="'redrawn' is that of a ticket or of another baseline"):
        made("baselines: [{name: redrawn, target: frozen, model: linear}]")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("target: frozen", "target: {a: b}"), "baselines.0.target: "),
        (("target: frozen", "target: [frozen]"), "baselines.0.target: "),
        (("- {name: frozen, ", "- {name: [frozen], "), "targets.0.name: "),
        (("targets:\n", "targets: sam\nx-targets:\n"), "targets: should be same, or a list"),
        (("targets:\n", "targets: {a: 1}\nx-targets:\n"), "targets: should be a list"),
    ],
)
def test_mistakes_beside_baselines_are_told_in_words(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text((GRID + "baselines: [{name: regression, target: frozen, model: linear}]").replace(*change))
    with pytest.raises(UserError, match=words):
        load(file)


def test_hidden_layers_of_a_sources_head_cannot_be_pruned_with_its_output_layer(made: Made) -> None:
    head = ["model.head=[10]", "targets.1.model={head: [10]}", "head=keep"]
    assert made("", *head).points
    with pytest.raises(UserError, match=r"leave model.head out of the source, or set prune_output: false"):
        made("", *head, "prune.prune_output=true")


def test_repeated_dense_networks_are_one_for_each_kind_of_ticket_and_round(made: Made) -> None:
    shared, repeated = made(), made("", "dense=repeated")
    (one,) = points(shared, ticket="dense", target="frozen", seed=1)
    several = points(repeated, ticket="dense", target="frozen", seed=1)
    assert [p.draw for p in several] == [0, 1, 2, 3] and several[0].stage == one.stage
    fields = [written(repeated.stages[p.stage]) for p in several]
    assert len({p.stage for p in several}) == 4
    assert [f.get("start", {}) for f in fields] == [{}, {"draw": 1}, {"draw": 2}, {"draw": 3}]
    assert [f["round"] for f in fields] == [0, 1, 2, 3]  # an order of images of its own, too
    order = [dense_draw(["late-reset", "redrawn"], (0, 1, 2), t, r) for t in ("late-reset", "redrawn") for r in (1, 2)]
    assert order == [0, 1, 2, 3]
