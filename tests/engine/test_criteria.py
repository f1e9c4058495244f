"""A criterion of the user's in a grid: what it is given, and what goes."""

from pathlib import Path

import pytest
import torch
import yaml

from pipeline.engine.driver import RunOptions, run
from pipeline.engine.store import Store
from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load
from pipeline.lottery.models import build, initialize
from pipeline.lottery.plugins import PluginError
from pipeline.lottery.tensor_files import load_mask, load_weights
from pipeline.recipes.pruning import Prune
from pipeline.recipes.training import Train
from tests.engine.conftest import Quiet

CRITERION = """
import torch

def score(trained, initial, mask):
    assert set(trained) == set(initial) == set(mask)
    for name, kept in mask.items():
        assert not trained[name][~kept].any() and not initial[name][~kept].any()
    return {name: (trained[name] - initial[name]).abs() for name in trained}

unary = lambda weights: weights
"""


def grid_of(folder: Path, criterion: str, **prune: object) -> Grid:
    (folder / "rules.py").write_text(CRITERION + "\ndef single(weights):\n    return weights\n")
    document: dict[str, object] = {
        **{"name": "moved", "model": "lenet-12", "seeds": [1], "sources": ["digits"], "tickets": ["winning"]},
        "training": {"batch_size": 64, "length": "2ep"},
        "prune": {"rate": 0.5, "rounds": 2, "criterion": f"rules.py:{criterion}", **prune},
        "retention": {"chains": "weights"},
    }
    (folder / "grid.yaml").write_text(yaml.safe_dump(document))
    return expand(load(folder / "grid.yaml"), folder)


@pytest.mark.parametrize(
    "prune", [{"rewind": "0it"}, {"rewind": "3it"}, {"rewind": "none"}, {"method": "one-shot"}], ids=str
)
def test_weights_that_moved_least_go(prune: dict[str, object], tmp_path: Path) -> None:
    grid, store = grid_of(tmp_path, "score", **prune), Store(str(tmp_path / "store"))
    listener = Quiet()
    assert run(grid, RunOptions(store.uri, tmp_path, local=True), listener).exit_code == 0, listener.text
    prunings = [stage.recipe for stage in grid.stages.values() if isinstance(stage.recipe, Prune)]
    assert len(prunings) == 2
    for stage in grid.stages.values():
        recipe = stage.recipe
        if not isinstance(recipe, Prune):
            continue
        assert recipe.initial is not None and recipe.fields()["initial"] == recipe.initial.fields()
        training = grid.stages[recipe.trained.stage].recipe
        assert isinstance(training, Train)
        fresh = build(training.configuration.model, training.configuration.input, training.configuration.classes)
        initialize(fresh, 1, training.configuration.model)
        began = dict(fresh.state_dict())
        if recipe.initial.output == "it0":  # which was removed once it was read
            assert training.round == 0 or prune["rewind"] == "0it"
        else:
            began = load_weights(store.read(recipe.initial.stage, recipe.initial.output))
        trained = load_weights(store.read(recipe.trained.stage, "final"))
        before = load_mask(store.read(recipe.mask.stage, "mask")) if recipe.mask else None
        after = load_mask(store.read(stage.key, "mask"))
        (name,) = recipe.layers
        alive = torch.ones_like(trained[name], dtype=torch.bool) if before is None else before[name]
        moved = (trained[name] - began[name]).abs()
        assert moved[after[name]].min() >= moved[alive & ~after[name]].max()


def test_a_function_of_other_parameters_is_refused_when_it_is_planned(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"rules.py, line \d+: single\(weights\) should take \(trained, initial, mask\)"
    ):
        grid_of(tmp_path, "single")


def test_one_that_planning_cannot_see_is_refused_in_words_when_it_runs(tmp_path: Path) -> None:
    grid, listener = grid_of(tmp_path, "unary"), Quiet()
    summary = run(grid, RunOptions(str(tmp_path / "store"), tmp_path, local=True), listener)
    assert summary.exit_code == 1
    assert "rules.py:10: unary should take (trained, initial, mask)" in listener.text
    assert PluginError.__name__ not in listener.text
