"""A grid of layerwise sensitivity, from its file to its figure, on one command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

GRID = """
name: sensitivity
model: convnet-4
seeds: 3
training: {optimizer: {name: sgd, lr: 0.05, momentum: 0.9}, batch_size: 64, length: 2ep, lr_decay: {at: [1ep]}}
prune: {method: one-shot, fractions: [0.5, 0.9], rewind: none, evaluate: [0, 1, 2]}
sources: [{dataset: digits, grid: {prune.only: [conv1, conv2, conv3]}}]
targets: [{name: as-is, dataset: digits, training: {length: 0it}}]
tickets: [{name: pruned, start: trained}]
"""
RUN = ("run", "grid.yaml", "--local")


def test_a_run_ends_with_the_figure_and_the_table(
    tickets: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.yaml").write_text(GRID)
    planned = tickets("plan", "grid.yaml").out
    assert planned.startswith("sensitivity: 42 stages (24 trainings, 18 prunings) for 30 results")
    assert "train a source's rounds              3" in planned, "one dense training a seed for all three layers"
    said = tickets(*RUN)
    assert said.code == 0, said.err
    folder = tmp_path / "reports" / "sensitivity"
    assert (folder / "sensitivity.png").stat().st_size > 10_000 and (folder / "sensitivity.svg").is_file()
    table = pd.read_csv(folder / "sensitivity.csv")
    assert sorted(table["layer"]) == ["conv1", "conv2", "conv3"] and (table["difference"] < 0).all()
    assert table["difference"].is_monotonic_increasing
    results = pd.read_parquet(folder / "results.parquet")
    assert (results["status"] == "ok").all() and results["train_accuracy"].isna().all()
    assert tickets(*RUN).out.count("0 stages run, 42 cached") == 1
    shown = tickets("show", results["stage"].iloc[-1][:12]).out
    assert "test accuracy" in shown and "train" not in shown.splitlines()[-2]
    exported = tickets("export", "grid.yaml", "t.safetensors", "--source", "digits-only=conv2", "--ticket", "pruned")
    assert exported.out == "t.safetensors: 89.93% pruned, pruned digits-only=conv2 -> as-is seed 0 round 2\n"
