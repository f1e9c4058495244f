"""`tickets report`: by name or by file, read at another level, renewed while a grid runs."""

import contextlib
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline import results
from pipeline.engine.failures import remember_failures
from pipeline.engine.store import Store
from pipeline.experiment.errors import UserError
from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load
from pipeline.experiment.planning import plan

PAGE = Path("reports/tiny/report.html")


def test_a_report_is_a_page_its_figures_and_its_tables(finished: Path, tickets: Callable[..., Any]) -> None:
    said = tickets("report", "tiny.yaml")
    assert said.code == 0, said.err
    assert f"Report: {PAGE}" in said.out
    names = {file.name for file in PAGE.parent.iterdir()}
    assert {
        "report.html",
        "curves.png",
        "curves.svg",
        "results.parquet",
        "comparisons.csv",
        "histories.parquet",
    } <= names


def test_an_experiment_is_found_by_its_name_without_its_file_and_its_data(
    finished: Path, tickets: Callable[..., Any]
) -> None:
    (finished / "tiny.yaml").unlink()
    PAGE.unlink()
    said = tickets("report", "tiny")
    assert said.code == 0, said.err
    assert PAGE.is_file()
    assert "winning minus random" in said.out


def test_a_name_that_the_store_does_not_know_is_answered_with_those_it_knows(
    finished: Path, tickets: Callable[..., Any]
) -> None:
    said = tickets("report", "tinny")
    assert said.code == 2
    assert "no experiment of that name" in said.err and "Did you mean 'tiny'? It has tiny." in said.err
    assert "There is no file other.yaml" in tickets("report", "other.yaml").err
    overridden = tickets("report", "tiny", "--set", "seeds=[0]")
    assert overridden.code == 2 and "--set needs the grid's file" in overridden.err


def test_another_level_and_margin_are_read_without_running_anything(
    finished: Path, tickets: Callable[..., Any]
) -> None:
    said = tickets("report", "tiny", "--at", "0.4", "--margin", "0.05")
    assert said.code == 0, said.err
    compared = pd.read_parquet(PAGE.parent / "comparisons.parquet")
    assert set(compared["margin"]) == {0.05}
    settings = pd.read_parquet(PAGE.parent / "settings.parquet").set_index("field")["value"]
    assert settings["analysis.fraction_pruned"] == "0.4"
    assert "60 % of the weights left" in " ".join(said.out.split())


def test_the_terminal_has_a_papers_tests_and_winning_tickets_where_the_grid_asks_for_them(
    finished: Path, tickets: Callable[..., Any]
) -> None:
    numbers = "mean: 0.797, std: 0.0488, dense_mean: 0.796, dense_std: 0.0479, t: 0.942, p: 0.371, n: 10"
    paper = f"analysis.published={{of: A paper, tests: [{{ticket: winning, round: 2, {numbers}}}]}}"
    without = tickets("report", "tiny.yaml")
    assert without.code == 0, without.err
    assert "A ticket wins if" not in without.out and "Tickets beside the dense network" not in without.out
    asked = ("--set", "prune.evaluate=[0, 1, 2]", "--set", "analysis.reference=winning", "--set", paper)
    said = tickets("report", "tiny.yaml", *asked)
    assert said.code == 0, said.err
    assert "Tickets beside the dense network, low -> low" in said.out and "79.70 ± 4.88" in said.out
    assert "The reference is round 0 of winning" in " ".join(said.out.split())
    table = pd.read_parquet(PAGE.parent / "winning_tickets.parquet")
    own = table[(table["ticket"] == "winning") & (table["target"] == "low")]
    assert list(own["round"]) == [1, 2] and set(own["n"]) == {2}
    at_start = results("tiny.yaml", overrides=["prune.evaluate=[0, 1, 2]"]).query("ticket == 'winning' and round == 0")
    assert set(own["reference_accuracy"]) == {at_start["test_accuracy"].mean()}


def test_a_cached_run_leaves_its_report_as_it_is(finished: Path, tickets: Callable[..., Any]) -> None:
    assert tickets("report", "tiny.yaml").code == 0
    before = {file: file.stat().st_mtime_ns for file in PAGE.parent.iterdir()}
    assert tickets("run", "tiny.yaml", "--local").code == 0
    assert {file: file.stat().st_mtime_ns for file in PAGE.parent.iterdir()} == before
    PAGE.unlink()
    assert tickets("run", "tiny.yaml", "--local").code == 0
    assert PAGE.is_file(), "a report that lacks a file is written anew"


def test_a_watched_report_is_renewed_and_ends_with_the_grid(
    fresh: Path,
    tickets: Callable[..., Any],
    begin: Callable[..., Any],
    wait_until: Callable[..., None],
) -> None:
    quiet = ("--tracking", "none", "--local")
    assert tickets("run", "tiny.yaml", "--set", "seeds=[0]", *quiet).code == 0
    watching = begin(fresh, "report", "tiny.yaml", "--watch")
    try:
        wait_until(lambda: "http-equiv" in _text() and "Partial" in _text(), 600, "a partial page that renews itself")
        assert tickets("run", "tiny.yaml", *quiet, "--reports", "elsewhere").code == 0
        out, err = watching.communicate(timeout=600)
    finally:
        watching.kill()
    assert watching.returncode == 0, err
    assert re.search(r"\d\d:\d\d:\d\d \d+ of \d+ runs (has|have) a result", out)
    assert "http-equiv" not in _text() and "Partial" not in _text()


def test_a_watched_report_ends_when_all_that_is_left_has_failed(finished: Path, tickets: Callable[..., Any]) -> None:
    store = Store(finished / ".tickets" / "store")
    grid = expand(load("tiny.yaml", ["seeds=[0, 1, 2]"]))
    remember_failures(store, "tiny", dict.fromkeys(plan(grid, store.snapshot()).to_run, "no memory"), {})
    said = tickets("report", "tiny.yaml", "--set", "seeds=[0, 1, 2]", "--watch")
    assert said.code == 0, said.err
    assert "no memory" in _text()


def test_a_report_that_cannot_be_written_keeps_neither_the_results_from_mlflow_nor_the_failures_from_the_terminal(
    finished: Path, tickets: Callable[..., Any]
) -> None:
    shutil.rmtree(finished / "reports")
    (finished / "reports").write_text("a file")
    said = tickets("run", "tiny.yaml", "--local", "--tracking", "sqlite:///other.db")
    assert said.code == 2 and "cannot be written to reports" in said.err
    assert "0 stages run, 14 cached" in said.out
    with contextlib.closing(sqlite3.connect(finished / "other.db")) as database:
        counts = dict(database.execute("SELECT status, count(*) FROM runs GROUP BY status"))
    assert counts["FINISHED"] > 4 and set(counts) == {"FINISHED"}


def _text() -> str:
    """The page without the scripts that draw its charts, whose source has every word."""
    page = PAGE.read_text() if PAGE.is_file() else ""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL).replace('http-equiv="Content-Security', "")


def test_results_are_a_data_frame(finished: Path) -> None:
    table = results("tiny")
    assert len(table) == len(results("tiny.yaml")) == 2 * (1 + 2 + 2)
    assert table.duplicated(["source", "target", "ticket", "round", "seed"]).sum() == 0
    assert table["test_accuracy"].between(0, 1).all() and set(table["status"]) == {"ok"}
    assert len(results("tiny.yaml", overrides=["seeds=[0]"])) == 5
    with pytest.raises(UserError, match="no experiment of that name"):
        results("other")
    with pytest.raises(UserError, match="There is no store"):
        results("tiny", store="elsewhere")
