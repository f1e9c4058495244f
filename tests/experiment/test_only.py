"""`prune.only`: some layers are pruned and counted, all others are whole; and targets that train nothing."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load
from pipeline.recipes.layers import MaskedLayers
from pipeline.recipes.starts import Dense

BASE: dict[str, Any] = {
    "name": "only",
    "model": "lenet-20-10",
    "seeds": [0],
    "training": {"batch_size": 64, "length": "2ep"},
    "prune": {"rate": 0.5, "rounds": 2},
    "sources": ["digits"],
    "tickets": ["winning", "random"],
}


def expanded(folder: Path, **changes: Any) -> Grid:
    file = folder / "grid.yaml"
    file.write_text(yaml.safe_dump(BASE | changes))
    return expand(load(file), folder)


def pruned(folder: Path, only: Any, **more: Any) -> Grid:
    return expanded(folder, prune=BASE["prune"] | {"only": only} | more)


def test_counts_are_of_the_chosen_layers_alone(tmp_path: Path) -> None:
    sizes = {"fc1": 64 * 20, "fc2": 20 * 10}
    for only, total in (("fc2", 200), (["fc1.weight"], 1280), (["fc1", "fc2"], sum(sizes.values()))):
        for point in pruned(tmp_path, only).points:
            if point.ticket != "dense":
                left = {1: total // 2, 2: total // 4}[point.round]
                assert (point.survivors, point.total, point.fraction_pruned) == (left, total, 1 - left / total)


@pytest.mark.parametrize("only", ["fc*", ["fc2", "fc1"], ["fc1", "fc?"]], ids=str)
def test_choosing_all_layers_is_choosing_none(only: Any, tmp_path: Path) -> None:
    assert pruned(tmp_path, only).points == expanded(tmp_path).points


def test_an_output_layer_that_is_not_chosen_travels_like_one_that_is_not_pruned(tmp_path: Path) -> None:
    """Its number of classes may differ between source and target."""
    halves = [{"name": "digits", "classes": [0, 1]}, {"name": "digits", "classes": [2, 3, 4]}]
    sides = {"sources": [{"name": f"s{n}", "dataset": half} for n, half in enumerate(halves)], "targets": "same"}
    stages = [set(pruned(tmp_path, "fc2", prune_output=output).stages) for output in (True, False)]
    assert stages[0] == stages[1]
    prune = BASE["prune"] | {"prune_output": True}
    assert expanded(tmp_path, **sides, prune=prune | {"only": "fc2"}).points
    with pytest.raises(UserError, match="a pruned output layer of 2 classes does not fit target"):
        expanded(tmp_path, **sides, prune=prune | {"only": ["fc2", "head"]})


def test_each_layer_of_a_grid_is_a_variant_and_all_share_their_dense_training(tmp_path: Path) -> None:
    source = {"dataset": "digits", "grid": {"prune.only": ["fc1", "fc2", ["fc1", "head"]]}}
    prune = BASE["prune"] | {"prune_output": True}
    grid = expanded(tmp_path, sources=[source], prune=prune, targets=["digits"])
    names = ["digits-only=fc1", "digits-only=fc2", "digits-only=_fc1_head"]
    assert [side.name for side in grid.spec.sources] == names
    dense = {
        stage.key for stage in grid.stages.values() if stage.kind == "train" and stage.recipe.fields()["round"] == 0
    }
    assert len(dense) == 1
    random = {point.source: point.stage for point in grid.points if point.ticket == "random" and point.round == 1}
    assert len(set(random.values())) == 3 and set(random) == set(names)


@pytest.mark.parametrize(
    ("prune", "at", "message"),
    [
        ({"only": "fc3"}, "only", "there is no prunable layer 'fc3'. Did you mean 'fc"),
        ({"only": ["fc1", "nope"]}, "only.1", "there is no prunable layer 'nope'. Valid: fc1, fc2."),
        ({"only": "head"}, "only", "It is the output layer's: set prune_output: true."),
        ({"only": []}, "only", "should not be empty"),
        ({"only": "fc1", "scope": "layerwise", "rates": {"fc2": 0.1}}, "rates.fc2", "no prunable layer 'fc2'"),
    ],
    ids=str,
)
def test_a_pattern_for_no_layer_is_refused(prune: dict[str, Any], at: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        expanded(tmp_path, prune=BASE["prune"] | prune)
    assert message in str(refused.value) and f"prune.{at}" in str(refused.value)


def test_units_are_pruned_in_both_layers(tmp_path: Path) -> None:
    prune = {"units": 2, "rounds": 2, "only": "hidden"}
    sources = [{"dataset": {"name": "digits", "classes": [0, 1]}}]
    with pytest.raises(UserError, match=r"prune\.only: cannot go with units"):
        expanded(tmp_path, model="perceptron-8", sources=sources, prune=prune, tickets=["winning"])


def test_a_source_trains(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"sources\.0\.training\.length: should be longer than nothing.* 0it is for tar"
    ):
        expanded(tmp_path, sources=[{"dataset": "digits", "training": {"length": "0it"}}])


def test_the_dense_network_of_a_target_that_trains_nothing_is_that_of_its_data(tmp_path: Path) -> None:
    """Where several networks are trained on its data there is none."""
    as_is = {"name": "as-is", "dataset": "digits", "training": {"length": "0ep"}}
    slow = {"name": "slow", "dataset": "digits", "training": {"length": "3ep"}}
    other = {"name": "other", "dataset": {"name": "digits", "half": "a"}}
    for sources, count in ((["digits"], 1), (["digits", other], 1), (["digits", slow], 0), ([other], 0)):
        grid = expanded(tmp_path, sources=sources, targets=[as_is])
        dense = [grid.stages[point.stage] for point in grid.points if point.ticket == "dense"]
        assert len(dense) == count
        for stage in dense:
            trained = grid.stages[stage.inputs["weights"].stage]
            assert stage.iterations == 0 and trained.recipe.fields()["iterations"] == 46
            assert trained.training.start == Dense() and stage.training.start.layers == MaskedLayers()
