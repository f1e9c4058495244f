"""Settings in force beside the paper's, and what differs between two specs."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.experiment.errors import UserError
from pipeline.experiment.loading import load
from pipeline.experiment.spec import Spec
from pipeline.experiment.spec_analysis import Paper
from pipeline.recipes.keys import canonical
from pipeline.report.sections.settings import COLUMNS, in_force
from pipeline.report.spec_settings import spec_differences

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
PAPERS = {
    name: EXPERIMENTS / name / "paper.yaml" for name in ("morcos2019", "frankle2018", "mehta2019", "vansoelen2019")
}
GRID = f"""
name: test
model: lenet-300-100
seeds: 6
training: {{batch_size: 512, length: 160ep, lr_decay: {{at: [80ep, 120ep], factor: 0.1}}}}
prune: {{rate: 0.2, rounds: 30, rewind: 1ep, evaluate: [0, 1, 2, 3, 4, 5, 6, 9, 12, 15, 18, 21, 24, 27, 30]}}
sources: [{{name: a, dataset: digits}}, {{name: b, dataset: {{name: digits, half: b}}}}]
targets: same
analysis: {{paper: {PAPERS["morcos2019"]}}}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Any:
    (tmp_path / "grid.yaml").write_text(GRID)
    return lambda *overrides: load(tmp_path / "grid.yaml", overrides)


def by_field(spec: Spec) -> Any:
    return in_force(spec).set_index("field")


def test_the_papers_own_settings_do_not_differ(spec: Callable[..., Spec]) -> None:
    table = by_field(spec())
    assert list(in_force(spec()).columns) == COLUMNS
    assert set(table.index[table["differs"]]) == {"model"}
    assert table.loc["training.length", "paper"] == "160ep or 90ep"
    assert table.loc["prune.evaluate", "value"] == "[0, 1, 2, 3, 4, 5, 6, 9, 12, 15, 18, 21, 24, 27, 30]"
    adam = by_field(spec("training.optimizer={name: adam, lr: 3.0e-4}"))
    assert not adam.loc["training.optimizer", "differs"]


def test_the_grid_says_whose_settings_stand_beside(spec: Callable[..., Spec]) -> None:
    alone = by_field(spec("analysis.paper=null"))
    assert not alone["differs"].any() and not alone["paper"].any()
    for name in ("one-shot", "xor"):
        table = by_field(load(EXPERIMENTS / "frankle2018" / f"{name}.yaml", ()))
        assert not table["differs"].any()
        assert table.loc["training.length", "paper"] in ("50000it", "10000it")
    assert by_field(spec(f"analysis.paper={PAPERS['frankle2018']}")).loc["training.batch_size", "differs"]


def test_a_grid_has_the_content_of_its_paper_so_that_a_store_remembers_it(
    spec: Callable[..., Spec], tmp_path: Path
) -> None:
    """Without the file, too; of the paper's numbers it has those that it names."""
    (tmp_path / "paper.yaml").write_text(
        "title: A paper\nsettings: {training.batch_size: {either: [64, 512]}}\nopen: {head: not stated}\n"
        "published: {table-1: {of: Table 1, values: [{metric: test_accuracy, ticket: winning, value: 0.9}]}}\n"
    )
    made = spec("analysis.paper=paper.yaml", "analysis.published=table-1")
    (tmp_path / "paper.yaml").unlink()
    back = Spec.model_validate(made.model_dump(mode="json"))
    published = back.analysis.published
    assert published is not None
    assert back.analysis == made.analysis and published.of == "Table 1"
    table = by_field(back)
    assert table.loc["training.batch_size", "paper"] == "64 or 512" and not table.loc["training.batch_size", "differs"]
    assert table.loc["analysis.paper", "value"] == "A paper" and table.loc["head", "reason"] == "not stated"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["analysis.paper=nowhere.yaml"], "nowhere.yaml: name the YAML file of the paper"),
        (
            [f"analysis.paper={PAPERS['mehta2019']}", "analysis.published=nrob"],
            "no numbers 'nrob'. Did you mean 'norb'",
        ),
        (["analysis.published=norb"], "the paper has no numbers 'norb'"),
    ],
)
def test_a_paper_or_numbers_that_are_not_there_are_named(spec: Callable[..., Spec], overrides: Any, said: Any) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        spec(*overrides)


def test_what_a_paper_states_has_one_order_whether_it_is_read_from_its_file_or_a_store(
    spec: Callable[..., Spec], tmp_path: Path
) -> None:
    (tmp_path / "paper.yaml").write_text("title: A paper\nsettings: {training.optimizer: {name: sgd, lr: 0.5}}\n")
    made = spec("analysis.paper=paper.yaml")
    remembered = Spec.model_validate(json.loads(canonical(made.model_dump(mode="json"))))
    for one in (made, remembered):
        assert by_field(one).loc["training.optimizer", "paper"] == "{lr: 0.5, name: sgd}"


def test_a_store_of_before_knows_the_name_of_the_paper_alone(spec: Callable[..., Spec]) -> None:
    known = spec().model_dump(mode="json")
    known["analysis"]["paper"] = "morcos2019"
    assert Spec.model_validate(known).analysis.paper == Paper(title="morcos2019")
    known["analysis"]["paper"] = "none"
    assert Spec.model_validate(known).analysis.paper is None


def test_every_paper_of_the_project_can_be_read() -> None:
    files = sorted(EXPERIMENTS.glob("*/paper.yaml"))
    assert files == sorted(PAPERS.values())
    for file in files:
        paper: Any = load(EXPERIMENTS / "quickstart.yaml", [f"analysis.paper={file}"]).analysis.paper
        assert paper.title and paper.open and (paper.settings or paper.models)


def test_van_soelens_settings_are_those_of_the_text(spec: Callable[..., Spec]) -> None:
    stated = by_field(spec(f"analysis.paper={PAPERS['vansoelen2019']}"))
    assert stated.loc["prune.scope", "differs"] and stated.loc["prune.scope", "paper"] == "layerwise"
    assert stated.loc["training.length", "paper"] == "" and stated.loc["training.length", "reason"] == "not stated"
    fractions = "rate: null, rounds: null, evaluate: null, rewind: 0it, fractions: [0.25, 0.5, 0.75, 0.9]"
    prune = f"prune={{method: one-shot, scope: layerwise, {fractions}, prune_output: true}}"
    training = "training={batch_size: 256, length: 100ep, optimizer: {name: sgd, lr: 0.01}}"
    given = by_field(spec(f"analysis.paper={PAPERS['vansoelen2019']}", prune, training, "head=keep", "seeds=10"))
    assert set(given.index[given["differs"]]) == {"model"}


@pytest.mark.parametrize(
    ("model", "batch", "lengths", "lr"),
    [("resnet18", 128, ("30000it", "25000it"), 5e-3), ("vgg19", 64, ("112000it", "50000it"), 1e-2)],
)
def test_mehtas_settings_are_those_of_the_model(model: Any, batch: Any, lengths: Any, lr: Any) -> None:
    paper: Any = load(EXPERIMENTS / "mehta2019/norb.yaml").analysis.paper
    stated: Any

    stated, left_open = paper.settings_of({model}), paper.open
    assert (stated["training.batch_size"], stated["training.length"]["either"]) == (batch, list(lengths))
    assert stated["training.optimizer"] == {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-4, "lr": lr}
    assert (stated["prune.rate"], stated["training.lr_decay"]) == (0.2, {"to": [1e-3, 1e-4]})
    assert "prune.scope" not in stated and left_open["prune.scope"] == "not stated"
    assert "training.length" not in paper.settings_of({"linear", "resnet18"})


@pytest.mark.parametrize(
    ("override", "field", "value"),
    [
        ("training.optimizer={name: sgd, lr: 0.05}", "training.optimizer", "lr: 0.05"),
        ("prune.rate=0.4", "prune.rate", "0.4"),
        ("prune.scope=layerwise", "prune.scope", "layerwise"),
        ("seeds=[0, 1]", "seeds", "2"),
        ("training.batch_size=64", "training.batch_size", "64"),
    ],
)
def test_what_is_set_otherwise_than_in_the_paper_differs(
    spec: Callable[..., Spec], override: Any, field: Any, value: Any
) -> None:
    row = by_field(spec(override)).loc[field]
    assert row["differs"] and value in row["value"] and row["paper"]


def test_defaults_are_told_from_what_was_set(spec: Callable[..., Spec]) -> None:
    table = by_field(spec("diagonal=retrain"))
    assert table.loc["head", "default"] and table.loc["head", "reason"].startswith("section 3.3")
    assert not table.loc["diagonal", "default"] and table.loc["diagonal", "value"] == "retrain"
    assert table.loc["prune.rates", "default"] and not table.loc["training.length", "default"]
    assert table.loc["analysis.margin", "value"] == "0.01"


def test_sources_that_differ_have_a_row_each(spec: Callable[..., Spec]) -> None:
    table = by_field(spec("sources=[{name: a, dataset: digits}, {name: b, dataset: digits, prune: {rewind: 3ep}}]"))
    assert table.loc["prune.rewind (a)", "value"] == "1ep"
    assert table.loc["prune.rewind (b)", "value"] == "3ep"
    assert "prune.rewind" not in table.index and "prune.rate" in table.index


def test_specs_differ_in_what_was_changed_and_nothing_else(spec: Callable[..., Spec]) -> None:
    assert spec_differences(spec(), spec("name=other", "description=in words")).empty
    changed = spec_differences(
        spec(),
        spec("prune.rounds=12", "prune.evaluate=[12]", "seeds=[0]", "tickets=[winning]", "training.batch_size=64"),
    ).set_index("field")
    assert set(changed.index) == {"prune.rounds", "prune.evaluate", "seeds", "ticket random", "training.batch_size"}
    assert tuple(changed.loc["prune.rounds"]) == ("30", "12")
    assert tuple(changed.loc["ticket random"]) == ("{mask: permuted-globally, weights: redrawn}", "-")
    assert tuple(changed.loc["seeds"]) == ("[0, 1, 2, 3, 4, 5]", "[0]")


def test_what_differs_for_one_source_is_written_with_its_name(spec: Callable[..., Spec]) -> None:
    sources = "{name: a, dataset: digits}, {name: b, dataset: {name: digits, half: b}, prune: {rewind: 3ep}}"
    changed = spec_differences(spec(), spec(f"sources=[{sources}]")).set_index("field")
    assert tuple(changed.loc["prune.rewind"]) == ("1ep", "1ep (a); 3ep (b)")
    assert list(changed.index) == ["prune.rewind"]


@pytest.mark.parametrize("mini", ["mehta2019/mini", "vansoelen2019/table3-mini"])
def test_the_width_of_a_small_twin_differs_from_the_papers(mini: Any) -> None:
    table = in_force(load(EXPERIMENTS / f"{mini}.yaml", ()))
    assert table.loc[table["field"].str.match(r"model\b"), "differs"].any()
