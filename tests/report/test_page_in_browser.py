"""The page in headless Chromium, from disk and without a network."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from pipeline.report.findings import Findings


def test_every_chart_has_its_marks_and_plotly_finds_nothing_wrong_with_them(
    opened: Any, findings_of: Callable[..., Findings]
) -> None:
    one = opened(findings_of(sources=2, targets=3))
    ids = one.page.evaluate("[...document.querySelectorAll('.chart')].map((box) => box.id)")
    kinds = {
        "curves": 3,
        "learning": 3,
        "convergence": 3,
        "converged": 3,
        "remaining": 2,
        "ratio": 2,
        "last": 2,
        "overlap": 1,
    }
    assert {kind: sum(id.startswith(f"{kind}-") for id in ids) for kind in kinds} == kinds
    for chart in ids:
        expected = one.page.evaluate("(id) => figureOf(described(id), 500).data.length", chart)
        assert one.traces(chart) == expected > 1
        wrong = "(id) => { const f = figureOf(described(id), 500); return Plotly.validate(f.data, f.layout) ?? []; }"
        assert one.page.evaluate(wrong, chart) == []
    # two winning lines, random and dense, each with its band
    assert one.traces("curves-0") == 2 * 4


def test_cells_hold_the_numbers_of_the_comparisons_at_any_level(
    opened: Any, findings_of: Callable[..., Findings]
) -> None:
    findings = findings_of(sources=3, targets=2)
    one = opened(findings)
    levels = sorted(findings.computed["comparisons"]["left"].unique(), reverse=True)
    for place in (len(levels) - 1, 3):
        one.page.select_option("#level", str(place))
        for number, comparison in enumerate(("control", "transfer", "dense")):
            rows = findings.computed["comparisons"][findings.computed["comparisons"]["comparison"] == comparison]
            rows = rows[rows["left"] == levels[place]]
            cells = one.page.locator(f"#matrix-{number} td .value").all_text_contents()
            assert cells == [f"{100 * value:+.2f}" for value in rows.sort_values(["source", "target"])["difference"]]
            intervals = one.page.locator(f"#matrix-{number} td .interval").all_text_contents()
            low, high = rows.sort_values(["source", "target"])[["low", "high"]].to_numpy().T
            assert intervals == [f"{100 * a:+.2f} to {100 * b:+.2f}" for a, b in zip(low, high, strict=True)]


def test_a_cell_without_a_test_says_why(opened: Any, findings_of: Callable[..., Findings]) -> None:
    one = opened(findings_of(seeds=2))
    cell = one.page.locator("#matrix-0 td").first
    assert "untested" in cell.get_attribute("class")
    cell.focus()
    assert "No test: n = 2: too few seeds for a test" in one.page.locator("#matrix-0-details").text_content()


def test_the_table_of_all_comparisons_can_be_sorted(opened: Any, findings_of: Callable[..., Findings]) -> None:
    one = opened(findings_of(sources=3, targets=2))
    one.page.locator("#comparisons summary").click()
    one.page.get_by_role("button", name="difference").click()
    shown = one.page.locator("#comparisons tbody tr td:nth-child(5)").all_text_contents()
    assert len(shown) == 6 + 4 + 6
    assert list(map(float, shown)) == sorted(map(float, shown))
    one.page.get_by_role("button", name="difference").click()
    shown = one.page.locator("#comparisons tbody tr td:nth-child(5)").all_text_contents()
    assert list(map(float, shown)) == sorted(map(float, shown), reverse=True)


@pytest.mark.parametrize("width", [400, 800])
def test_a_narrow_window_has_no_horizontal_scroll_and_charts_that_fit(
    opened: Any, findings_of: Callable[..., Findings], width: int
) -> None:
    one = opened(findings_of(sources=6, targets=9), width=width, height=800)
    one.traces("curves-0")
    assert one.page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert one.page.locator("#curves-0 .main-svg").first.bounding_box()["width"] <= width
    assert one.page.locator("#curves-0 .legend .scrollbar").bounding_box()["height"] == 0  # all entries are in sight
    assert one.page.locator("#matrix-0 tbody th").first.bounding_box()["width"] > 80
    wide = one.page.locator("#matrix-0 .scroll")
    assert wide.evaluate("(box) => box.scrollWidth > box.clientWidth")


def test_hostile_names_do_nothing(opened: Any, hostile: Any) -> None:
    findings, text = hostile
    one = opened(findings)
    one.traces("curves-0")
    assert "synthetic" in one.page.title()
    assert one.page.locator("img").count() == 0
    assert one.page.locator(".description").text_content() == text
    assert any("<script>" in name for name in one.page.locator("#curves-0 .legendtext").all_text_contents())


def test_a_partial_page_has_a_banner(opened: Any, findings_of: Callable[..., Findings]) -> None:
    def status(results: pd.DataFrame) -> list[str]:
        return ["missing" if number % 2 else "ok" for number in range(len(results))]

    one = opened(findings_of(status=status))
    assert one.page.locator(".banner").first.text_content().startswith("Partial: 144 of 288 runs have a result")
    assert one.traces("curves-0") > 2


def test_a_diverged_run_has_a_ring_and_its_line_looks_as_ever(
    opened: Any, findings_of: Callable[..., Findings]
) -> None:
    def status(results: pd.DataFrame) -> list[str]:
        return [
            "diverged" if (row == ("set-0", 8)) else "ok"
            for row in zip(results["source"], results["round"], strict=True)
        ]

    one = opened(findings_of(status=status))
    assert one.traces("curves-0") == 2 * 4 + 1
    symbols = "(id) => document.getElementById(id).data.map((trace) => trace.marker?.symbol)"
    assert one.page.evaluate(symbols, "curves-0")[4:] == ["circle", "square", "x", None, "circle-open"]


def test_chance_of_pairs_that_differ_in_size_has_the_colours_of_the_pairs(
    opened: Any, findings_of: Callable[..., Findings]
) -> None:
    findings = findings_of(sources=3)
    table = findings.computed["overlap"].copy()
    larger = (table["kind"] == "sources") & (table["other_source"] == "set-2") & (table["source"] == "set-0")
    table.loc[larger, "survivors"] += 50_000
    one = opened(replace(findings, computed=findings.computed | {"overlap": table}))
    one.traces("overlap-0")
    colours = "(id) => document.getElementById(id).data.map((trace) => [trace.name, trace.line.color])"
    inks = dict(one.page.evaluate(colours, "overlap-0"))
    pair = "set-0 and set-2"
    assert inks[f"chance, over all layers: {pair}"] == inks[f"chance, within layers: {pair}"] == inks[pair]
