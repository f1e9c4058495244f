"""The tables of the reports of a few finished experiments, cell for cell: a report is a function of its store.

`goldens/NAME.tar.xz` is a store, without what no table reads, and `goldens/NAME/` what `tickets report NAME` makes of
it; goldens/README.md has the runs. `python tests/science/test_golden_reports.py` makes the tables anew, only where a
report is meant to change; `python tests/science/test_golden_reports.py NAME STORE` keeps another store before.
"""

import csv
import hashlib
import importlib.metadata
import io
import json
import math
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

GOLDENS = Path(__file__).with_name("goldens")
MACHINE = GOLDENS / "machine.json"
ANEW = "If the report is meant to change: python tests/science/test_golden_reports.py makes its tables anew."
SEEDS, BYTES = 2, 10_000
"""Masks and weights of so many seeds are kept, and none that are larger."""


def names() -> list[str]:
    return sorted(file.name.removesuffix(".tar.xz") for file in GOLDENS.glob("*.tar.xz"))


def machine() -> dict[str, Any]:
    """What the last digits of a table depend on."""
    libraries = {name: importlib.metadata.version(name) for name in ("numpy", "pandas", "scipy")}
    return {"simd": np.show_config(mode="dicts")["SIMD Extensions"]["found"], **libraries}


def restore(name: str, folder: Path) -> list[str]:
    """The arguments of `tickets` for the report of a golden store below `folder`."""
    with tarfile.open(GOLDENS / f"{name}.tar.xz") as archive:
        archive.extractall(folder / "store", filter="data")
    return ["report", name, "--store", str(folder / "store"), "--reports", str(folder / "reports")]


def settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("TICKETS_STORE", "COLUMNS")}


def tables(name: str, folder: Path, printed: str) -> dict[str, str]:
    """What a report wrote and printed, by the name of the file that holds it here."""
    report = folder / "reports" / name
    found = {file.name: file.read_text() for file in report.glob("*.csv")}
    histories = pd.read_parquet(report / "histories.parquet").to_csv(index=False)
    found["histories.sha256"] = hashlib.sha256(histories.encode()).hexdigest() + "\n"
    told = [line for line in printed.splitlines() if not line.startswith("Writing the report")]  # said where it is slow
    return {**found, "printed.txt": "\n".join([*told, ""]).replace(f"{folder}/", "")}


def test_goldens_are_there() -> None:
    assert len(names()) >= 3
    assert all(file.stat().st_size < 400_000 for file in GOLDENS.glob("*.tar.xz"))


@pytest.mark.parametrize("name", names())
def test_tables_of_a_report_are_the_golden_ones(name: str, tmp_path: Path, fork: Callable[..., Any]) -> None:
    process = fork(tmp_path, *restore(name, tmp_path), environment=settings(), merged=True)
    printed = process.communicate(timeout=600)[0]
    assert process.returncode == 0, printed
    found = tables(name, tmp_path, printed)
    golden = {file.name: file.read_text() for file in (GOLDENS / name).iterdir()}
    assert sorted(found) == sorted(golden), ANEW
    exact = machine() == json.loads(MACHINE.read_text())
    differences = [line for file in sorted(golden) for line in compared(file, found[file], golden[file], exact=exact)]
    assert not differences, "\n".join([*differences[:20], f"{len(differences)} cells differ. {ANEW}"])


def compared(file: str, found: str, golden: str, *, exact: bool) -> Iterator[str]:
    """A line for each cell that is another one; with `exact` as text, else to ten digits."""
    if not file.endswith(".csv"):
        if found != golden:
            yield f"{file}: is\n{found}\ninstead of\n{golden}"
        return
    one, other = (list(csv.reader(io.StringIO(text))) for text in (found, golden))
    if (len(one), one[0]) != (len(other), other[0]):
        yield f"{file}: {len(one)} rows of {one[0]} instead of {len(other)} rows of {other[0]}"
        return
    for number, (row, wanted) in enumerate(zip(one, other, strict=True)):
        for column, cell, should in zip(one[0], row, wanted, strict=True):
            if cell != should and (exact or not _close(cell, should)):
                yield f"{file}: row {number}, {column}: {cell!r} instead of {should!r}"


def _close(cell: str, should: str) -> bool:
    try:
        return math.isclose(float(cell), float(should), rel_tol=1e-10, abs_tol=1e-12)
    except ValueError:
        return False


def keep(name: str, store: Path) -> None:
    """Make `goldens/NAME.tar.xz` of a finished store: records, histories, the grid, and some masks and weights."""
    from pipeline.engine.store import Store

    with tempfile.TemporaryDirectory() as folder:
        copied = Path(shutil.copytree(store, Path(folder) / "store"))
        opened = Store(copied)
        for key in opened.snapshot():
            record = opened.record(key)
            assert record is not None
            some = record["fields"]["seed"] < SEEDS
            sizes = {name: entry.get("size", 0) for name, entry in record["outputs"].items() if name != "history"}
            opened.collect(key, [name for name, size in sizes.items() if not some or size > BYTES])
        with tarfile.open(GOLDENS / f"{name}.tar.xz", "w:xz") as archive:
            for area in ("documents", "done", "outputs"):
                archive.add(copied / area, area)


def make(name: str) -> None:
    """Write `goldens/NAME/` anew."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pipeline", *restore(name, Path(folder))]
        printed = subprocess.run(command, env=settings(), check=True, capture_output=True, text=True).stdout
        shutil.rmtree(GOLDENS / name, ignore_errors=True)
        (GOLDENS / name).mkdir()
        for file, text in tables(name, Path(folder), printed).items():
            (GOLDENS / name / file).write_text(text)


if __name__ == "__main__":
    if sys.argv[1:]:
        keep(sys.argv[1], Path(sys.argv[2]))
    MACHINE.write_text(json.dumps(machine()) + "\n")
    for each in names():
        make(each)
