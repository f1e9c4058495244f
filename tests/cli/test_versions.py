"""Two grids under one name, as a person meets them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline import results
from pipeline.engine import driver
from pipeline.experiment.errors import UserError

LOCAL = ("--local", "--tracking", "none")


@pytest.fixture
def copied(finished: Path) -> Path:
    """Beside the finished grid a copy of its file with another rate, and the same name."""
    text = (finished / "tiny.yaml").read_text()
    (finished / "copy.yaml").write_text(text.replace("lr: 0.1", "lr: 0.05").replace("seeds: [0, 1]", "seeds: [0]"))
    return finished


def measured(folder: str) -> int:
    return int(pd.read_parquet(f"reports/{folder}/results.parquet")["test_accuracy"].notna().sum())


def test_a_grid_under_a_name_that_is_taken_is_told_before_it_runs(copied: Path, tickets: Callable[..., Any]) -> None:
    said = tickets("plan", "copy.yaml")
    assert "note: tiny is the name of another experiment too: seeds is [0, 1] there and [0] here; " in said.out
    assert "lr: 0.1" in said.out and "lr: 0.05" in said.out and "It stays readable as tiny@1" in said.out
    assert any("tiny@2" in note for note in json.loads(tickets("plan", "copy.yaml", "--json").out)["notes"])
    for extension in ("seeds=[0]", "seeds=[0, 1, 2]", "analysis.margin=0.02", "prune.rounds=3"):
        assert "another experiment" not in tickets("plan", "tiny.yaml", "--set", extension).out


def test_a_run_that_never_begins_leaves_the_name_the_results_and_the_report(
    copied: Path, tickets: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path("reports/tiny/report.html").read_bytes()

    def nowhere(*_: object) -> None:
        raise UserError("no cluster")

    monkeypatch.setattr(driver, "_lanes", nowhere)
    said = tickets("run", "copy.yaml", *LOCAL)
    assert said.code == 2 and "note: tiny is the name of another experiment too" in said.out.replace("\n", " ")
    assert len(results("tiny")) == 10 and set(results("tiny")["status"]) == {"ok"}
    assert tickets("report", "copy.yaml").code == 0  # of a grid that has no result yet
    assert Path("reports/tiny/report.html").read_bytes() == page
    assert (measured("tiny"), measured("tiny@2")) == (10, 0)


def test_both_versions_stay_readable_by_every_command(copied: Path, tickets: Callable[..., Any]) -> None:
    (copied / "tiny.yaml").unlink()
    assert tickets("run", "copy.yaml", *LOCAL).code == 0
    assert [len(results(name)) for name in ("tiny", "tiny@1", "tiny@2")] == [5, 10, 5]
    assert (measured("tiny"), measured("tiny@1")) == (5, 10), "the report of the first was moved to its own folder"
    for name, folder in (("tiny@1", "tiny@1"), ("tiny", "tiny"), ("tiny@2", "tiny")):
        assert f"Report: reports/{folder}/report.html" in tickets("report", name).out
    compared = tickets("compare", "tiny@1", "tiny@2")
    assert compared.code == 0 and "lr: 0.05" in compared.out and "tiny@2 minus tiny@1" in compared.out
    assert "14 of 14 stages done" in tickets("status", "tiny@1").out
    assert tickets("export", "tiny@1", "old.safetensors", "--seed", "1").code == 0
    assert "here the grid has 0" in tickets("export", "tiny", "new.safetensors", "--seed", "1").err
    assert "it has tiny@1, tiny@2" in tickets("report", "tiny@3").err


def test_the_report_of_an_empty_store_replaces_none_that_has_results(
    finished: Path, tickets: Callable[..., Any]
) -> None:
    Path("empty").mkdir()
    said = tickets("report", "tiny.yaml", "--store", "empty")
    assert "Report: reports/tiny@empty/report.html" in said.out
    assert (measured("tiny"), measured("tiny@empty")) == (10, 0)


def test_results_of_a_name_that_there_is_not_are_answered_with_the_names_and_the_store(finished: Path) -> None:
    with pytest.raises(UserError, match=r"no experiment of that name in .*store\. It has tiny\.$") as refused:
        results("nosuch")
    assert refused.value.__cause__ is None
    with pytest.raises(UserError, match=r"no store at .*elsewhere: .* In Python, results\('nosuch', store=\.\.\.\)"):
        results("nosuch", store="elsewhere")


def test_a_command_about_jobs_without_a_cluster_asks_which_one(
    fresh: Path, tickets: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(variable, raising=False)
    for words in (["jobs"], ["logs", "x"], ["stop", "x"], ["submit", "tiny.yaml"]):
        said = tickets(*words)
        assert said.code == 2 and said.err.startswith("error: Which cluster? Give --address http://HOST:8265")
    text = " ".join(tickets("jobs", "--help").out.split())
    for part in ("the oldest first", "exit code of `tickets run`", "RAY_API_SERVER_ADDRESS", "`tickets stop JOB`"):
        assert part in text
