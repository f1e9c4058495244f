"""Recipes are what a store has of them: read again, they are the same, whatever a grid says."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load
from pipeline.recipes.keys import canonical
from pipeline.recipes.recipe import recipe_from

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
GRIDS = ("quickstart.yaml", "morcos2019/fig5-mini.yaml", "morcos2019/figA1-mini.yaml", "frankle2018/xor.yaml")

HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
REFERENCES = st.fixed_dictionaries({"stage": HASHES, "output": st.sampled_from(["final", "mask", "it500"])})
RATES = st.floats(0, 1, exclude_min=True)
LAYERS = st.lists(st.sampled_from(["fc1.weight", "fc2.weight", "head.weight"]), min_size=1, unique=True)
MASKED = {"layers": LAYERS, "included": LAYERS, "prunes_output": st.just(True)}
CONTROL = st.fixed_dictionaries(
    {
        "mask": st.sampled_from(["preserved", "permuted-within-layers", "permuted-globally"]),
        "weights": st.sampled_from(["kept", "redrawn", "shuffled"]),
    },
    optional={"draw": st.integers(1, 9)},
)
STARTS = (
    st.fixed_dictionaries({"draw": st.integers(1, 9)})
    | st.fixed_dictionaries({"weights": REFERENCES}, optional={"head": st.just("redraw")})
    | st.fixed_dictionaries(
        {"mask": REFERENCES}, optional={"weights": REFERENCES, "head": st.just("redraw"), "control": CONTROL, **MASKED}
    )
    | st.fixed_dictionaries(
        {
            "survivors": st.integers(0, 10**7),
            "control": st.just({"mask": "permuted-globally", "weights": "redrawn"}),
        },
        optional=MASKED,
    )
)
MODELS = st.sampled_from(
    [
        {"name": "lenet", "hidden": [300, 100]},
        {"name": "vgg19"},
        {"name": "vgg19", "width": 8, "head": [100]},
        {"name": "convnet", "width": 16, "initialization": {"name": "truncated-normal", "std": 0.1}},
        {"name": "perceptron", "hidden": 10, "networks": 1000},
        {"name": "user", "class": "Net", "source": "0" * 64, "arguments": {"width": [1, 2]}, "output_layer": "fc"},
    ]
)
DATA = st.fixed_dictionaries(
    {"name": st.sampled_from(["mnist", "parquet", "images"])},
    optional={
        "fingerprint": HASHES,
        "classes": st.lists(st.integers(0, 9), min_size=1, unique=True),
        "half": st.sampled_from("ab"),
        "validation": st.integers(1, 5000),
        "normalized": st.just(False),
        "channels": st.sampled_from([1, 3]),
        "crop": st.integers(1, 64),
    },
)
OPTIMIZERS = st.sampled_from(
    [
        {"name": "sgd", "lr": 0.1},
        {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "nesterov": True},
        {"name": "adam", "lr": 3e-4, "betas": [0.5, 0.9]},
    ]
)
TRAININGS = st.fixed_dictionaries(
    {
        **{"kind": st.just("train"), "recipe": st.just(1), "model": MODELS, "data": DATA, "optimizer": OPTIMIZERS},
        **{"input": st.just([3, 32, 32]), "classes": st.integers(1, 1000), "batch_size": st.integers(1, 512)},
        **{"iterations": st.integers(10, 10**6), "record_every": st.integers(1, 10**6)},
        **{"seed": st.integers(0, 2**40), "round": st.integers(0, 30)},
    },
    optional={
        "start": STARTS,
        "first_iteration": st.integers(1, 9),
        "lr_decay": st.sampled_from([{"at": [5, 8], "factor": 0.1}, {"at": [5, 8], "to": [0.01, 0.001]}]),
        "augment": st.sampled_from([{"flip": True, "crop": 4}, {"resized_crop": True}]),
        "precision": st.just("bf16"),
        "channels_last": st.just(True),
        "compile": st.just(True),
        "frozen": st.just("features"),
        "norm_batch": st.integers(1, 256),
        "norm_groups": st.integers(1, 8),
        "world_size": st.integers(2, 64),
    },
)
OF_USER = {"criterion": st.just({"name": "user", "function": "score", "source": "0" * 64}), "initial": REFERENCES}
PRUNINGS = st.builds(
    lambda pruning, of_user: pruning | of_user,
    st.fixed_dictionaries(
        {
            **{"kind": st.just("prune"), "recipe": st.just(1), "trained": REFERENCES, "seed": st.integers(0, 2**40)},
            "layers": st.just(["fc1.weight", "fc2.weight"]),
            "rule": st.fixed_dictionaries(
                {"rate": RATES, "scope": st.just("layerwise")},
                optional={"rates": st.fixed_dictionaries({"fc1.weight": RATES})},
            )
            | st.fixed_dictionaries({"fraction": RATES, "scope": st.just("global")}),
        },
        optional={"mask": REFERENCES},
    ),
    st.fixed_dictionaries(OF_USER) | st.just({}),
)


def again(fields: dict[str, Any]) -> dict[str, Any]:
    return recipe_from(json.loads(json.dumps(fields))).fields()


@given(TRAININGS | PRUNINGS)
def test_a_recipe_of_fields_has_these_fields(fields: dict[str, Any]) -> None:
    assert canonical(again(fields)) == canonical(fields)


@pytest.mark.parametrize("name", GRIDS)
def test_the_stages_of_a_grid_are_read_again_as_they_are(name: str, data_root: Path) -> None:
    for stage in expand(load(EXPERIMENTS / name), data_root).stages.values():
        assert recipe_from(json.loads(json.dumps(stage.recipe.fields()))) == stage.recipe
        assert canonical(again(stage.recipe.fields())) == canonical(stage.recipe.fields())


def test_what_is_no_recipe_is_refused() -> None:
    with pytest.raises(ValueError, match="of the kind 'test'"):
        recipe_from({"kind": "test"})
    with pytest.raises(ValueError, match="of prune cannot be"):
        recipe_from({"kind": "prune", "recipe": 1})
    with pytest.raises(ValueError, match="of recipe 2"):
        recipe_from({"kind": "train", "recipe": 2})
