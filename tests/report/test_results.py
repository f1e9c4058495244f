"""One row for each point of a grid."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.point_labels import model_label
from pipeline.experiment.expansion import expand
from pipeline.experiment.grid import Grid
from pipeline.experiment.loading import load
from pipeline.experiment.models import MODELS, UserModel
from pipeline.report.analysis import networks
from pipeline.report.findings import Findings
from pipeline.report.results import TYPES, results_table
from pipeline.report.rows import table_of

GRID = """
name: test
model: {name: lenet, hidden: [30, 10]}
seeds: [0, 1, 2]
prune: {rate: 0.5, rounds: 3, evaluate: [0, 1, 2, 3]}
training: {optimizer: {name: sgd, lr: 0.1}, batch_size: 64, length: 1ep}
sources: [{name: a, dataset: {name: digits, half: a}}]
targets: [{name: b, dataset: {name: digits, half: b}, training: {optimizer: {name: adam, lr: 0.001}}}]
"""


class Snapshot(dict[str, Any]):
    def record(self, key: str) -> Any:
        return self.get(key)


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    (tmp_path / "grid.yaml").write_text(GRID)
    return expand(load(tmp_path / "grid.yaml"))


def record_of(point: Any, status: str = "ok") -> Any:
    accuracy = 0.9 - 0.01 * point.round + 0.001 * point.seed**2 - (point.ticket == "random") * 0.1 * point.round
    summary = {"test_accuracy": accuracy, "test_loss": 0.4, "train_accuracy": 0.99, "train_loss": 0.1}
    return {"key": point.stage, "status": status, "summary": summary, "seconds": 2.0, "finished": 1e9}


@pytest.fixture
def snapshot(grid: Grid) -> Snapshot:
    return Snapshot({point.stage: record_of(point) for point in grid.points})


def test_every_point_is_a_row_with_the_documented_columns(grid: Grid, snapshot: Snapshot) -> None:
    table = results_table(grid, snapshot)
    assert list(table.columns) == list(TYPES)
    # winning and random at rounds 0 to 3, dense at round 0, three seeds each
    assert len(table) == len(grid.points) == 3 * (4 + 4 + 1)
    assert set(table["status"]) == {"ok"}
    assert not table.duplicated(["source", "target", "ticket", "round", "seed"]).any()


def test_a_row_says_what_it_is_and_what_came_out(grid: Grid, snapshot: Snapshot) -> None:
    table = results_table(grid, snapshot)
    row = table[(table["ticket"] == "winning") & (table["round"] == 2) & (table["seed"] == 1)].iloc[0]
    assert (row["source"], row["target"], row["model"]) == ("a", "b", "lenet-30-10")
    assert (row["source_optimizer"], row["target_optimizer"]) == ("sgd", "adam")
    assert row["fraction_pruned"] == pytest.approx(0.75, abs=1e-3)
    assert row["survivors"] == pytest.approx(row["total"] * (1 - row["fraction_pruned"]))
    assert row["test_accuracy"] == pytest.approx(0.881)
    assert (row["seconds"], row["finished"]) == (2.0, 1e9)
    assert row["stage"] in grid.stages
    assert row["mask"] in grid.stages


def test_what_has_no_source_says_any(grid: Grid, snapshot: Snapshot) -> None:
    table = results_table(grid, snapshot)
    others = table[table["ticket"] != "winning"]
    assert set(others["source"]) == set(others["source_optimizer"]) == {"any"}


def test_results_that_are_not_there_are_missing_failed_or_diverged(grid: Grid, snapshot: Snapshot) -> None:
    missing, failed, diverged = [point for point in grid.points if point.ticket == "winning" and point.round][:3]
    del snapshot[missing.stage], snapshot[failed.stage]
    snapshot[diverged.stage] = record_of(diverged, "diverged")
    table = results_table(grid, snapshot, failed={failed.stage}).set_index("stage")
    assert [table.loc[point.stage, "status"] for point in (missing, failed, diverged)] == [
        "missing",
        "failed",
        "diverged",
    ]
    assert table.loc[[missing.stage, failed.stage], ["test_accuracy", "seconds", "finished"]].isna().all(axis=None)
    assert table["test_accuracy"].loc[diverged.stage] > 0


def test_a_grid_of_which_nothing_ran_has_the_same_columns_and_types(grid: Grid, snapshot: Snapshot) -> None:
    nothing = results_table(grid, Snapshot())
    assert list(nothing.dtypes) == list(results_table(grid, snapshot).dtypes)
    assert set(nothing["status"]) == {"missing"}


def test_the_table_feeds_the_rest_of_the_report(grid: Grid, snapshot: Snapshot, plain_text: Callable[..., str]) -> None:
    table = results_table(grid, snapshot)
    none = table_of([], networks.TYPES)
    text = plain_text(Findings(grid.spec, table, 0.0, computed={"networks": none}))
    assert "12.5 % left" in text
    assert "a -> b" in text


@pytest.mark.parametrize(
    ("model", "label"),
    [
        (MODELS["lenet"].model_validate({"hidden": (300, 100)}), "lenet-300-100"),
        (MODELS["convnet"].model_validate({"width": 16}), "convnet-16"),
        (UserModel(source="a/folder/that/is/not/here.py:Net"), "Net"),
    ],
)
def test_models_have_short_names(model: Any, label: str) -> None:
    assert model_label(model) == label


def test_a_report_needs_no_torch_ray_or_mlflow() -> None:
    code = (
        "import sys; import pipeline.report.report, pipeline.report.page.rendering, pipeline.report.stills.figures; "
        "import pipeline.report.report_files, pipeline.report.terminal_report, pipeline.report.results; "
        "import pipeline.report.analysis.two_experiments; "
        "print(sorted({'mlflow', 'torch', 'ray', 'matplotlib', 'scipy.stats'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
