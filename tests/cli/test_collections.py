"""Collections on the command line: run together, each with its own report and MLflow experiment."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GRID = """
name: {name}
model: lenet-8
seeds: [0]
training: {{batch_size: 64, length: 2ep}}
prune: {{rate: 0.5, rounds: 2}}
sources: {sources}
"""


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    (tmp_path / "one.yaml").write_text(GRID.format(name="one", sources="[{dataset: {name: digits, half: a}}]"))
    (tmp_path / "two.yaml").write_text(
        GRID.format(name="two", sources="[{dataset: digits, grid: {dataset.half: [a, b]}, name: d}]")
    )
    file = tmp_path / "both.yaml"
    file.write_text("experiments: [one.yaml, two.yaml]\n")
    return file


def test_a_collection_runs_what_is_shared_once_and_reports_each(
    collection: Path, tickets: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(collection.parent)
    planned = json.loads(tickets("plan", "both.yaml", "--json").out)
    alone = [json.loads(tickets("plan", name, "--json").out)["to_run"] for name in ("one.yaml", "two.yaml")]
    assert planned["to_run"] < sum(alone)
    said = tickets("run", "both.yaml", "--local", "--tracking", "sqlite:///mlflow.db")
    assert said.code == 0, said.err
    assert f"{planned['to_run']} stages run, 0 cached" in said.out
    for name in ("one", "two"):
        assert (collection.parent / "reports" / name / "report.html").is_file()
        assert f"MLflow: experiment '{name}'" in said.out
        assert f"0 stages run, {alone[name == 'two']} cached" in tickets("run", f"{name}.yaml").out
    assert tickets("report", "two").code == 0  # by its name in the store
    status = tickets("status", "both.yaml")
    assert f"both: {planned['to_run']} of {planned['to_run']} stages done, 0 to run" in status.out
    assert "  one: 100% of its results" in status.out
    again = tickets("sync", "both.yaml", "--tracking", "sqlite:///mlflow.db")
    assert again.out.count("0 runs made") == 2, again.err


def test_a_report_that_cannot_be_written_keeps_no_other_from_being_made(
    collection: Path, tickets: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(collection.parent)
    (collection.parent / "reports").mkdir()
    (collection.parent / "reports" / "one").touch()
    said = tickets("run", "both.yaml", "--local", "--tracking", "none")
    assert said.code == 2 and "The report cannot be written to reports/one" in said.err
    assert (collection.parent / "reports" / "two" / "report.html").is_file()


def test_a_command_for_one_experiment_names_those_of_a_collection(
    collection: Path, tickets: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(collection.parent)
    (collection.parent / "store").mkdir()
    said = tickets("report", "both.yaml", "--store", "store")
    assert said.code == 2
    assert "both.yaml is a collection of experiments, and one is wanted here: one.yaml, two.yaml" in said.err
