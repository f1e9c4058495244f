"""A finding is one file: registered once, it is on the page, in the stills, in the terminal and among the tables."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from pipeline.experiment.spec import Spec
from pipeline.report.findings import Computed, Findings, Table
from pipeline.report.report_files import write_report
from pipeline.report.sections import order
from pipeline.report.sections.section import Fragment, Section
from pipeline.report.stills.figures import drawn

PAGE = "<p>Of {{ runs }} runs {{ good }} are good.</p>"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A section that counts good runs; how often its table was made."""
    made = []

    def count(findings: Findings) -> pd.DataFrame:
        made.append(findings)
        return findings.results.assign(good=findings.results["test_accuracy"] > 0.9)[["seed", "good"]]

    table = Table("good_runs", count)

    def figure(findings: Findings) -> Any:
        from matplotlib.figure import Figure

        drawing = Figure()
        drawing.subplots().hist(findings.of(table)["good"].astype(int))
        return drawing

    def page(findings: Findings) -> Fragment:
        good = findings.of(table)["good"]
        return Fragment({"runs": len(good), "good": int(good.sum())}, data={"toy": int(good.sum())})

    section = Section(
        "good_runs",
        "Good",
        "Good runs",
        page,
        computed=(table,),
        template=PAGE,
        stills={"good": figure},
        lines=lambda findings, screen: [f"{int(findings.of(table)['good'].sum())} good runs"],
    )
    monkeypatch.setattr(order, "SECTIONS", (*order.SECTIONS, section))
    return made


def test_a_new_finding_is_shown_everywhere_from_its_own_file(
    toy: Any,
    findings_of: Callable[..., Findings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plain_text: Callable[..., str],
) -> None:
    still = drawn()["good"]
    monkeypatch.setattr("pipeline.report.stills.figures.drawn", lambda: {"good": still})
    known = findings_of()
    toy.clear()
    findings = replace(known, computed={name: one for name, one in known.computed.items() if name != "good_runs"})
    names = {file.name for file in write_report(findings, tmp_path / "report")}
    good = int((findings.results["test_accuracy"] > 0.9).sum())
    assert {"good_runs.parquet", "good_runs.csv", "good.png", "good.svg"} <= names
    page = (tmp_path / "report" / "report.html").read_text()
    assert '<a href="#good-runs">Good</a>' in page and '<h2 id="h-good-runs">Good runs</h2>' in page
    assert f"<p>Of {len(findings.results)} runs {good} are good.</p>" in page and f'"toy":{good}' in page
    assert "good.png" in page.split("<noscript>")[1].split("</noscript>")[0]
    assert f"{good} good runs" in plain_text(findings)
    assert len(toy) == 1, "computed once for all of them"


def test_names_of_tables_stills_and_sections_are_taken_once() -> None:
    computed = {id(one): one.name for section in order.SECTIONS for one in section.computed}
    stills = [name for section in order.SECTIONS for name in section.stills]
    names = [section.name for section in order.SECTIONS]
    for each in (list(computed.values()), stills, names):
        assert len(each) == len(set(each))


def test_what_is_computed_is_asked_for_once() -> None:
    calls: list[Findings] = []

    def compute(findings: Findings) -> int:
        calls.append(findings)
        return 42

    answer, spec = Computed("answer", compute), cast(Spec, None)  # of which nothing is asked
    findings = Findings(spec, pd.DataFrame(), 0.0)
    assert findings.of(answer) == findings.of(answer) == 42 and len(calls) == 1
    with pytest.raises(LookupError, match="no store"):
        _ = findings.read
