"""From YAML to the spec: extends, --set, overrides of sources and targets, variants."""

from pathlib import Path

import pytest

from pipeline.experiment.errors import UserError
from pipeline.experiment.loading import load
from pipeline.experiment.models import UserModel
from pipeline.experiment.spec import Spec
from pipeline.experiment.spec_training import OPTIMIZERS, Optimizer
from pipeline.recipes.steps import Steps


def loaded(tmp_path: Path, text: str, *overrides: str) -> Spec:
    file = tmp_path / "grid.yaml"
    file.write_text(text)
    return load(file, overrides)


def optimizer(name: str, **options: object) -> Optimizer:
    return OPTIMIZERS[name].model_validate(options)


def test_defaults_are_the_papers(tmp_path: Path, small: str) -> None:
    spec = loaded(tmp_path, small.replace("{name: sgd, lr: 0.1}", "sgd").replace("rate: 0.5, ", ""))
    training, prune = spec.sources[0].training, spec.sources[0].prune
    assert training.optimizer == optimizer("sgd", lr=0.1, momentum=0.9, weight_decay=1e-4)
    assert (prune.rate_a_round, prune.scope, prune.rewind, prune.evaluated) == (0.2, "global", Steps(), (1, 2, 3))
    assert optimizer("adam") == optimizer("adam", lr=3e-4, betas=(0.9, 0.999), weight_decay=1e-4)


def test_targets_are_the_sources_unless_they_are_given(tmp_path: Path, small: str) -> None:
    names = [("digits-a", "digits-b")] * 2
    for text in (small, small.replace("targets: same\n", "")):
        spec = loaded(tmp_path, text)
        assert [tuple(side.name for side in sides) for sides in (spec.sources, spec.targets)] == names


def test_a_source_overrides_any_field_and_the_rest_stays(tmp_path: Path, small: str) -> None:
    own = "{dataset: digits, training: {optimizer: {lr: 0.5}}, prune: {rounds: 5}}"
    spec = loaded(tmp_path, small.replace("{dataset: {name: digits, half: a}}", own))
    first, second = spec.sources
    assert first.training.optimizer == optimizer("sgd", lr=0.5)
    assert (first.prune.last_round, second.prune.last_round, first.prune.rate) == (5, 3, 0.5)
    assert (first.training.batch_size, second.training.optimizer) == (64, optimizer("sgd", lr=0.1))


def test_another_optimizer_inherits_no_option_of_the_first(tmp_path: Path, small: str) -> None:
    for written in ("adam", "{name: adam}"):
        own = f"{{dataset: digits, training: {{optimizer: {written}}}}}"
        spec = loaded(tmp_path, small.replace("{dataset: {name: digits, half: a}}", own))
        assert spec.sources[0].training.optimizer == optimizer("adam")


def test_null_takes_a_field_back_to_its_default(tmp_path: Path, small: str) -> None:
    spec = loaded(tmp_path, small, "prune.rate=null", "prune.rounds=null", "prune.fractions=[0.25, 0.5]")
    assert (spec.sources[0].prune.fractions, spec.sources[0].prune.last_round) == ((0.25, 0.5), 2)


def test_extends_merges_mappings_replaces_lists_and_is_relative_to_its_file(tmp_path: Path, small: str) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "base.yaml").write_text(small)
    child = tmp_path / "below" / "child.yaml"
    child.write_text("extends: ../base.yaml\nname: child\ntraining: {batch_size: 32}\nsources: [digits]\n")
    spec = load(child)
    assert (spec.name, spec.sources[0].model.name, len(spec.sources)) == ("child", "lenet", 1)
    assert (spec.sources[0].training.batch_size, spec.sources[0].training.length) == (32, Steps(10))


def test_an_error_in_a_base_names_the_base(tmp_path: Path, small: str) -> None:
    (tmp_path / "base.yaml").write_text(small.replace("batch_size", "batchsize"))
    child = tmp_path / "child.yaml"
    child.write_text("extends: base.yaml\n")
    with pytest.raises(UserError) as refused:
        load(child)
    assert f"{tmp_path / 'base.yaml'}:6: training.batchsize: unknown key. Did you mean 'batch_size'?" == str(
        refused.value
    )


def test_a_circle_of_extends_and_a_missing_base_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: a\nextends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(UserError, match=r"b\.yaml:1: extends: a\.yaml extends this file in turn: a circle"):
        load(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("extends: none.yaml\n")
    with pytest.raises(UserError, match=r"b\.yaml:1: extends: there is no file"):
        load(tmp_path / "a.yaml")


def test_a_grid_that_reads_too_many_files_is_refused(tmp_path: Path, small: str) -> None:
    """Each reads the next one twice: 2^20 files in twenty."""
    for number in range(9):
        (tmp_path / f"{number}.yaml").write_text(f"extends: [{number + 1}.yaml, {number + 1}.yaml]\n")
    (tmp_path / "9.yaml").write_text(small)
    with pytest.raises(UserError, match="extends: more than 200 files are read for one grid"):
        load(tmp_path / "0.yaml")


def test_a_grid_extends_several_files_each_laid_over_those_before(tmp_path: Path, small: str) -> None:
    (tmp_path / "base.yaml").write_text(small)
    (tmp_path / "mini.yaml").write_text("model: lenet-3\nseeds: [7]\ntraining: {batch_size: 16, length: 1ep}\n")
    child = tmp_path / "child.yaml"
    child.write_text("extends: [base.yaml, mini.yaml]\nname: child\ntraining: {length: 2ep}\n")
    spec = load(child)
    training = spec.sources[0].training
    assert (spec.name, spec.seeds, spec.models[0].recipe().fields()["hidden"]) == ("child", (7,), [3])
    assert (training.batch_size, training.length, training.optimizer) == (16, Steps(2), optimizer("sgd", lr=0.1))
    child.write_text("extends: [base.yaml, 3]\n")
    with pytest.raises(UserError, match=r"child.yaml:1: extends: should be the name of another YAML file, or a list"):
        load(child)
    child.write_text("extends: [base.yaml, child.yaml]\n")
    with pytest.raises(UserError, match=r"child.yaml extends this file in turn: a circle"):
        load(child)


def test_set_overrides_nested_fields_list_items_and_bare_names(tmp_path: Path, small: str) -> None:
    spec = loaded(
        tmp_path, small, "seeds=[3, 4]", "training.optimizer.lr=1e-3", "model={name: lenet, hidden: [7]}",
        "sources.1.dataset.half=a",
        "sources.1.name=again", "sources.1.prune.rewind=1ep",
    )  # fmt: skip
    assert spec.seeds == (3, 4)
    assert spec.sources[0].training.optimizer == optimizer("sgd", lr=1e-3)
    assert [model.recipe().fields() for model in spec.models] == [{"name": "lenet", "hidden": [7]}]
    assert (spec.sources[1].name, spec.sources[1].prune.rewind) == ("again", Steps(1))
    assert loaded(tmp_path, small, "seeds=4").seeds == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "training.batchsize=3",
            "--set training.batchsize=3: training.batchsize: unknown key. Did you mean 'batch_size'?",
        ),
        ("trainng.batch_size=3", "--set trainng.batch_size=3: trainng: unknown key. Did you mean 'training'?"),
        ("sources.4.name=x", "'4' is no place in a list of 2: write a number from 0 to 1."),
        ("training.batch_size.x=3", "training.batch_size is 64, which has no 'x'; set training.batch_size as a whole."),
        ("seeds", "write it as --set key.path=value"),
        ("seeds=[0", "--set seeds=[0: seeds: not valid YAML"),
        ("=3", "write it as --set key.path=value"),
    ],
)
def test_a_wrong_override_is_named_with_its_option(tmp_path: Path, small: str, override: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        loaded(tmp_path, small, override)
    assert message in str(refused.value)


def test_a_grid_under_a_source_makes_a_named_variant_for_each_point(tmp_path: Path, small: str) -> None:
    grid = "{training.optimizer.lr: [0.1, 0.01], prune: {scope: [global, layerwise]}}"
    spec = loaded(tmp_path, small.replace("{dataset: {name: digits, half: a}}", f"{{dataset: digits, grid: {grid}}}"))
    made = [(s.name, s.training.optimizer.recipe().lr, s.prune.scope) for s in spec.sources[:4]]
    assert made == [
        ("digits-lr=0.1-scope=global", 0.1, "global"),
        ("digits-lr=0.1-scope=layerwise", 0.1, "layerwise"),
        ("digits-lr=0.01-scope=global", 0.01, "global"),
        ("digits-lr=0.01-scope=layerwise", 0.01, "layerwise"),
    ]
    assert [target.name for target in spec.targets[:4]] == [name for name, _, _ in made]


def test_a_grid_over_optimizers_is_named_by_them(tmp_path: Path, small: str) -> None:
    grid = "{training.optimizer: [{name: sgd, lr: 0.5}, {name: adam}]}"
    spec = loaded(tmp_path, small.replace("half: a}}", f"half: a}}, grid: {grid}}}"))
    found = [(side.name, side.training.optimizer) for side in spec.targets[:2]]
    assert found == [("digits-a-sgd", optimizer("sgd", lr=0.5)), ("digits-a-adam", optimizer("adam"))]


def test_keys_that_begin_with_x_hold_anchors(tmp_path: Path, small: str) -> None:
    spec = loaded(tmp_path, "x-own: &own {batch_size: 16}\n" + small.replace("half: a}}", "half: a}, training: *own}"))
    assert [side.training.batch_size for side in spec.sources] == [16, 64]


def test_a_file_of_the_users_is_found_beside_the_grid_that_names_it(tmp_path: Path, small: str) -> None:
    spec = loaded(tmp_path, small, "model=my_models.py:Net")
    model = spec.models[0]
    assert isinstance(model, UserModel) and model.source == f"{tmp_path / 'my_models.py'}:Net"
