"""What the report leaves on disk: whole files, and a list of them that says what they were made from."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from pipeline.report.evidence import Evidence
from pipeline.report.findings import Findings
from pipeline.report.histories import HISTORIES
from pipeline.report.report_files import tables, write_report
from pipeline.report.report_folder import current_report, report_digest
from pipeline.report.sections.overlap import OVERLAP

TABLES = [table.name for table in tables() if table.csv]


def evidence(earlier: Path) -> Evidence:
    """Of an earlier report alone."""
    none: Any = None
    return Evidence(none, none, none, "", earlier=earlier)


def digest(findings: Findings, store: str = "/store", failed: Any = ()) -> str:
    return report_digest(findings.spec, store, findings.results, dict(failed))


@pytest.fixture(scope="module")
def findings(findings_of: Callable[..., Findings]) -> Any:
    made = findings_of()
    return replace(made, digest=digest(made))


@pytest.fixture(scope="module")
def whole(findings: Findings, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(folder, files) of a report. Do not change."""
    folder = tmp_path_factory.mktemp("whole") / "report"
    return folder, write_report(findings, folder)


@pytest.fixture
def copied(whole: Any, tmp_path: Path) -> Any:
    """A folder with that report."""
    return shutil.copytree(whole[0], tmp_path / "report")


def test_page_figures_and_tables_are_written_and_named(whole: Any) -> None:
    folder, files = whole
    names = [file.name for file in files]
    assert names[0] == "report.html" and len(set(names)) == len(names)
    assert {f"{table}.{suffix}" for table in TABLES for suffix in ("parquet", "csv")} <= set(names)
    assert {"histories.parquet", "curves.png", "curves.svg", "matrix.png", "layers.svg"} <= set(names)
    there = {file.name for file in folder.iterdir()}
    assert there == {*names, ".contents.json"}


@pytest.mark.parametrize("table", ["results", "comparisons", "overlap", "histories"])
def test_tables_come_back_as_they_were(findings: Findings, tmp_path: Path, table: str) -> None:
    write_report(findings, tmp_path, refresh=10)
    expected = findings.results if table == "results" else findings.computed[table]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / f"{table}.parquet"), expected, check_dtype=False)
    if table in TABLES:
        read = pd.read_csv(tmp_path / f"{table}.csv")
        assert list(read.columns) == list(expected.columns) and len(read) == len(expected)


def test_what_a_report_had_to_read_is_known_to_the_next_one(findings: Findings, tmp_path: Path) -> None:
    known = evidence(tmp_path)
    assert known.before(HISTORIES) is None
    write_report(findings, tmp_path, refresh=10)
    assert [len(cast(pd.DataFrame, known.before(table))) for table in (HISTORIES, OVERLAP)] == [
        len(findings.of(table)) for table in (HISTORIES, OVERLAP)
    ]
    findings.computed["histories"].iloc[::2].to_parquet(tmp_path / "histories.parquet")
    data = bytearray((tmp_path / "overlap.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "overlap.parquet").write_bytes(data)
    assert known.before(HISTORIES) is known.before(OVERLAP) is None, "not what a report wrote"


def test_another_version_reads_everything_anew(
    findings: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(findings, tmp_path, refresh=10)
    monkeypatch.setattr("pipeline.report.report_folder.made_by", lambda: ["0.2.0", ""])
    assert evidence(tmp_path).before(HISTORIES) is None


def test_a_report_is_current_until_results_settings_or_files_change(
    findings: Findings, whole: Any, copied: Any, tmp_path: Path
) -> None:
    assert current_report(tmp_path, findings.digest) is None
    assert current_report(copied, findings.digest) == [copied / file.name for file in whole[1]]
    analysis = findings.spec.analysis.model_copy(update={"margin": 0.02})
    others = [
        digest(replace(findings, results=findings.results.assign(status="missing"))),
        digest(replace(findings, results=findings.results.assign(finished=1.0))),
        digest(replace(findings, spec=findings.spec.model_copy(update={"analysis": analysis}))),
        digest(findings, store="/elsewhere"),
        digest(findings, failed={"a": "for another reason"}.items()),
    ]
    assert len({findings.digest, *others}) == 6
    assert [current_report(copied, other) for other in others] == [None] * 5
    (copied / "curves.png").unlink()
    assert current_report(copied, findings.digest) is None


def test_a_page_that_another_report_wrote_in_between_is_not_current(findings: Findings, copied: Any) -> None:
    (copied / "report.html").write_text("Partial")
    assert current_report(copied, findings.digest) is None


@pytest.mark.parametrize("contents", ["", "[]", "{}", '{"digest": "", "files": 3}', '{"files": [1]}'])
def test_a_damaged_list_of_contents_is_no_report(findings: Findings, tmp_path: Path, contents: Any) -> None:
    (tmp_path / ".contents.json").write_text(contents)
    assert current_report(tmp_path, findings.digest) is None
    assert evidence(tmp_path).before(HISTORIES) is None


def test_a_report_that_will_be_renewed_has_no_figures_and_is_not_current(findings: Findings, tmp_path: Path) -> None:
    write_report(findings, tmp_path, refresh=10)
    assert not list(tmp_path.glob("*.png"))
    assert current_report(tmp_path, findings.digest) is None
    assert 'http-equiv="refresh" content="10"' in (tmp_path / "report.html").read_text()


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_current_report(
    findings: Findings, copied: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (copied / "results.csv").read_bytes()

    def stops(self: Any, path: Path, **options: Any) -> None:
        path.write_text("half")
        raise OSError("no space left")

    monkeypatch.setattr(pd.DataFrame, "to_csv", stops)
    changed = replace(findings, results=findings.results.assign(test_accuracy=np.nan))
    with pytest.raises(OSError, match="no space"):
        write_report(changed, copied)
    assert (copied / "results.csv").read_bytes() == before
    assert not list(copied.glob(".*csv")) and not (copied / ".contents.json").exists()
