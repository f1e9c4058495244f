"""The report on disk: tables that other programs read, and the figure."""

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from pipeline.report.figures import curves_figure
from pipeline.report.statistics import curves, winning_vs_random


def write_report(grid_name: str, table: pd.DataFrame, folder: Path) -> list[Path]:
    """Write results, curves and the comparison of winning with random tickets below `folder`, and say what was written.

    Each file appears whole or not at all; those of an earlier report are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    means = curves(table)
    comparison = winning_vs_random(table)
    return [
        _write(folder / "results.parquet", lambda path: table.to_parquet(path, index=False)),
        _write(folder / "results.csv", lambda path: table.to_csv(path, index=False)),
        _write(folder / "curves.parquet", lambda path: means.to_parquet(path, index=False)),
        _write(folder / "curves.csv", lambda path: means.to_csv(path, index=False)),
        _write(folder / "winning_vs_random.csv", lambda path: comparison.to_csv(path, index=False)),
        _write(folder / "curves.png", lambda path: curves_figure(table, path, title=grid_name)),
    ]


def _write(path: Path, write: Callable[[Path], object]) -> Path:
    # The suffix stays last: matplotlib and pandas choose the format by it.
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
