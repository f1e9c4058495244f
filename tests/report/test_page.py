"""The page as text: what is in it and what is safe."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from pipeline.engine.provenance import versions
from pipeline.report.findings import Findings
from pipeline.report.page.rendering import render, safe_json


def data_of(page: str) -> dict[str, Any]:
    """What the page's scripts read."""
    return dict(json.loads(found(r'<script type="application/json" id="data">(.*?)</script>', page)[1]))


def found(pattern: str, text: str) -> re.Match[str]:
    match = re.search(pattern, text, re.DOTALL)
    assert match is not None
    return match


def without_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)


def test_the_page_names_nothing_outside_itself(findings_of: Callable[..., Findings]) -> None:
    page = render(findings_of())
    text = without_scripts(page)
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text)
    assert "url(" not in found(r"<style>.*?</style>", page)[0]
    policy = found(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy and "unsafe-eval" not in policy


def test_plotly_is_there_once(findings_of: Callable[..., Findings]) -> None:
    assert len(re.findall(r"plotly\.js v\d", render(findings_of()))) == 1


def test_the_header_says_what_the_grid_is(findings_of: Callable[..., Findings]) -> None:
    text = without_scripts(render(findings_of(description="Which tickets transfer?")))
    assert "<h1>synthetic</h1>" in text
    assert "Which tickets transfer?" in text
    assert "lenet-300-100 · 2 sources, 2 targets, 6 seeds, 2 tickets (winning, random) · read 2026-09-21" in text
    assert f"UTC by ticket-transfer {versions()['ticket-transfer']}</p>" in text
    assert "Partial" not in text


def test_a_partial_page_says_how_far_it_is(findings_of: Callable[..., Findings]) -> None:
    def status(results: pd.DataFrame) -> list[str]:
        return ["missing" if number < 30 else "failed" if number < 33 else "ok" for number in range(len(results))]

    findings = findings_of(status=status)
    text = without_scripts(render(findings))
    total = len(findings.results)
    assert f"Partial: {total - 33} of {total} runs have a result; 30 are still to run; 3 failed." in text
    assert "30 have no result yet" in text
    assert "RuntimeError: out of memory" in text


def test_at_most_200_runs_without_a_result_are_listed(findings_of: Callable[..., Findings]) -> None:
    findings = findings_of(status=lambda results: "missing")
    text = without_scripts(render(findings))
    section = found(r'<section id="unmade".*?</section>', text)[0]
    assert section.count("<tr>") == 1 + 200
    assert f"And {len(findings.results) - 200} more" in section


def test_an_experiment_of_which_nothing_ran_has_a_sentence_in_every_section(
    findings_of: Callable[..., Findings],
) -> None:
    page = render(findings_of(status=lambda results: "missing"))
    text = without_scripts(page)
    assert "No run has a result yet." in text
    assert "No records of trainings at this level were read." in text
    assert "No training has converged by this rule" in text
    # nothing is tested, and every cell says why
    assert "no result of the ticket yet" in data_of(page)["matrices"]["remarks"]


def test_empty_tables_leave_no_section_without_words(findings_of: Callable[..., Findings]) -> None:
    findings = findings_of()
    tables = ("curves", "comparisons", "histories", "convergence", "layers", "overlap", "settings", "unmade")
    empty = {name: findings.computed[name].iloc[:0] for name in tables} | {"level": None}
    nothing = replace(findings, results=findings.results.iloc[:0], computed=findings.computed | empty, omissions=())
    text = without_scripts(render(nothing))
    for words in ("The grid has no winning ticket beside", "There is nothing to compare", "No mask has been made"):
        assert words in text


def test_hostile_text_stays_text(hostile: Any) -> None:
    findings, text = hostile
    page = render(findings)
    assert "<script>document.title" not in page
    assert "<img" not in without_scripts(page)
    assert "<!--" not in page
    assert page.count("&lt;img src=x onerror=") > 5
    assert any(text in series["name"] for series in data_of(page)["charts"]["curves-0"]["series"])


def test_json_cannot_leave_its_script_and_reads_back_unchanged(hostile: Any) -> None:
    text = safe_json({"name": hostile[1]})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"name": hostile[1]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        safe_json(float("nan"))


def test_every_curve_of_the_table_is_in_a_panel(findings_of: Callable[..., Findings]) -> None:
    findings = findings_of(sources=3, targets=2)
    charts = data_of(render(findings))["charts"]
    for number, target in enumerate(("set-0", "set-1")):
        chart = charts[f"curves-{number}"]
        names = [series["name"] for series in chart["series"]]
        assert names == [*(f"winning, from set-{source}" for source in range(3)), "random", "dense network"]
        points = findings.computed["curves"]
        curve = points[(points["target"] == target) & (points["source"] == "set-1")]
        y = chart["columns"][chart["series"][1]["y"]]
        assert y == pytest.approx(100 * curve["mean"], abs=1e-3)
        assert chart["columns"][chart["series"][1]["spread"]] == pytest.approx(100 * curve["std"], abs=1e-3)
        assert len(chart["series"][1]["seeds"]) == 6


def test_single_seeds_are_those_of_the_results(findings_of: Callable[..., Findings]) -> None:
    findings = findings_of(status=lambda results: ["ok"] * (len(results) - 1) + ["missing"])
    chart = data_of(render(findings))["charts"]["curves-1"]
    rows = findings.results[(findings.results["target"] == "set-1") & (findings.results["ticket"] == "random")]
    wide = rows.pivot(index="seed", columns="round", values="test_accuracy")
    seeds = next(series for series in chart["series"] if series["name"] == "random")["seeds"]
    assert seeds[5][-1] is None
    assert seeds[:5] == [pytest.approx(100 * values, abs=1e-3) for values in wide.to_numpy()[:5]]


def test_a_point_with_a_diverged_run_is_marked(findings_of: Callable[..., Findings]) -> None:
    def status(results: pd.DataFrame) -> list[str]:
        here = (results["source"] == "set-0") & (results["round"] == 8) & (results["seed"] == 2)
        return ["diverged" if found else "ok" for found in here & (results["target"] == "set-1")]

    chart = data_of(render(findings_of(status=status)))["charts"]["curves-1"]
    assert [series.get("marked") for series in chart["series"]] == [[4], None, None, None]


def test_the_narrow_range_holds_the_winning_tickets_and_not_the_random_ones(
    findings_of: Callable[..., Findings],
) -> None:
    chart = data_of(render(findings_of()))["charts"]["curves-0"]
    low, high = chart["zoom"]
    lines = {series["name"]: chart["columns"][series["y"]] for series in chart["series"]}
    assert low > min(lines["random"])
    assert sum(low <= y <= high for y in lines["winning, from set-0"]) >= 6
    assert low < lines["dense network"][0] < high


def test_the_matrices_hold_the_numbers_of_the_comparisons(findings_of: Callable[..., Findings]) -> None:
    findings = findings_of()
    found = data_of(render(findings))["matrices"]
    assert [table["comparison"] for table in found["tables"]] == ["control", "transfer", "dense"]
    rows = findings.computed["comparisons"][findings.computed["comparisons"]["comparison"] == "transfer"]
    table = found["tables"][1]
    assert len(table["d"]) == len(rows)
    for place in range(table["start"][2], table["start"][3]):
        names = {"source": found["sources"][table["s"][place]], "target": found["targets"][table["c"][place]]}
        row = rows[(rows["left"] == found["levels"][2]) & (rows[list(names)] == pd.Series(names)).all(axis=1)].iloc[0]
        shown = [f"{table[name][place] / 100:.2f}" for name in ("d", "low", "high")]
        assert shown == [f"{100 * row[name]:.2f}" for name in ("difference", "low", "high")]
        assert bool(table["flags"][place] & 1) == (row["p_holm"] < 0.05)
        assert bool(table["flags"][place] & 2) == bool(row["equivalent"])


def test_headings_have_the_optimizer_where_the_grid_has_several(findings_of: Callable[..., Findings]) -> None:
    assert data_of(render(findings_of()))["matrices"]["sources"] == ["set-0", "set-1"]
    assert data_of(render(findings_of(optimizers=True)))["matrices"]["targets"] == ["set-0 (sgd)", "set-1 (adam)"]


def test_a_page_that_is_renewed_says_so_to_the_browser(findings_of: Callable[..., Findings]) -> None:
    assert '<meta http-equiv="refresh" content="5">' in render(findings_of(), refresh=5)
    assert 'http-equiv="refresh"' not in render(findings_of())
