"""The page in headless Chromium, from disk and without a network."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

LONG_TASKS = """() => {
  window.long = [0];
  new PerformanceObserver((list) => list.getEntries().forEach((task) => window.long.push(task.duration)))
    .observe({type: 'longtask'});
}"""


def test_every_chart_has_its_marks_and_plotly_finds_nothing_wrong_with_them(opened, findings_of):
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


def test_cells_hold_the_numbers_of_the_comparisons_at_any_level(opened, findings_of):
    findings = findings_of(sources=3, targets=2)
    one = opened(findings)
    levels = sorted(findings.comparisons["left"].unique(), reverse=True)
    for place in (len(levels) - 1, 3):
        one.page.select_option("#level", str(place))
        for number, comparison in enumerate(("control", "transfer", "dense")):
            rows = findings.comparisons[findings.comparisons["comparison"] == comparison]
            rows = rows[rows["left"] == levels[place]]
            cells = one.page.locator(f"#matrix-{number} td .value").all_text_contents()
            assert cells == [f"{100 * value:+.2f}" for value in rows.sort_values(["source", "target"])["difference"]]
            intervals = one.page.locator(f"#matrix-{number} td .interval").all_text_contents()
            low, high = rows.sort_values(["source", "target"])[["low", "high"]].to_numpy().T
            assert intervals == [f"{100 * a:+.2f} to {100 * b:+.2f}" for a, b in zip(low, high, strict=True)]


def test_a_cell_explains_itself_to_keyboard_pointer_and_finger(opened, findings_of):
    one = opened(findings_of(), has_touch=True)
    first, details = one.page.locator("#matrix-0 td").first, one.page.locator("#matrix-0-details")
    first.focus()
    assert "set-0 → set-0, round 20: +" in details.text_content()
    assert "after Holm's correction over 4 tests" in details.text_content()
    one.page.keyboard.press("ArrowRight")
    assert "set-0 → set-1" in details.text_content()
    one.page.locator("#matrix-0 td").nth(3).hover()
    assert "set-1 → set-1" in details.text_content()
    one.page.locator("#matrix-0 td").nth(2).tap()
    assert "set-1 → set-0" in details.text_content()


def test_a_cell_without_a_test_says_why(opened, findings_of):
    one = opened(findings_of(seeds=2))
    cell = one.page.locator("#matrix-0 td").first
    assert "untested" in cell.get_attribute("class")
    cell.focus()
    assert "No test: n = 2: too few seeds for a test" in one.page.locator("#matrix-0-details").text_content()


def test_the_table_of_all_comparisons_can_be_sorted(opened, findings_of):
    one = opened(findings_of(sources=3, targets=2))
    one.page.locator("#comparisons summary").click()
    one.page.get_by_role("button", name="difference").click()
    shown = one.page.locator("#comparisons tbody tr td:nth-child(5)").all_text_contents()
    assert len(shown) == 6 + 4 + 6
    assert list(map(float, shown)) == sorted(map(float, shown))
    one.page.get_by_role("button", name="difference").click()
    shown = one.page.locator("#comparisons tbody tr td:nth-child(5)").all_text_contents()
    assert list(map(float, shown)) == sorted(map(float, shown), reverse=True)


def test_single_seeds_come_on_demand(opened, findings_of):
    one = opened(findings_of())
    before = one.traces("curves-0")
    one.page.check("#seeds")
    assert one.traces("curves-0") == before + 3
    # six seeds of eight points on the winning line; matplotlib's and plotly's gap between seeds has no point
    points = "document.querySelectorAll('#curves-0 .scatterlayer .trace .points path').length"
    with_seeds = one.page.evaluate(points)
    one.page.uncheck("#seeds")
    assert one.traces("curves-0") == before
    assert with_seeds - one.page.evaluate(points) == 6 * (8 + 8 + 7)


def test_the_y_axis_can_be_narrowed_to_the_differences(opened, findings_of):
    one = opened(findings_of())
    one.traces("curves-0")
    everything = one.page.evaluate("document.getElementById('curves-0')._fullLayout.yaxis.range")
    one.page.select_option("#zoom", "differences")
    narrowed = one.page.evaluate("document.getElementById('curves-0')._fullLayout.yaxis.range")
    assert narrowed[1] - narrowed[0] < 0.5 * (everything[1] - everything[0])
    one.page.select_option("#zoom", "all")
    assert one.page.evaluate("document.getElementById('curves-0')._fullLayout.yaxis.range") == everything


def test_hovering_over_a_point_says_what_it_is(opened, findings_of):
    findings = findings_of()
    one = opened(findings)
    one.traces("curves-0")
    one.page.locator("#curves-0 .scatterlayer .trace .points path").nth(7).hover(force=True)
    text = one.page.locator("#curves-0 .hoverlayer").text_content()
    row = findings.curves[(findings.curves["round"] == 20) & (findings.curves["source"] == "set-0")].iloc[0]
    assert "winning, from set-0" in text
    assert f"test accuracy: {100 * row['mean']:.4g} ± {100 * row['std']:.3g}"[:-2] in text
    assert "weights that survive: 3,069" in text
    assert "round: 20" in text and "n: 6" in text


def luminance(colour: str) -> float:
    """Relative luminance of a CSS `rgb(...)`, WCAG 2."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Any, selector: str, name: str = "color") -> float:
    """Of an element's text with the page's background."""
    style = "([selector, name]) => getComputedStyle(document.querySelector(selector))[name]"
    text, ground = (
        luminance(one.page.evaluate(style, pair)) for pair in ([selector, name], ["body", "backgroundColor"])
    )
    return (max(text, ground) + 0.05) / (min(text, ground) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read(opened, findings_of, scheme):
    one = opened(findings_of(), color_scheme=scheme)
    one.traces("curves-0")
    ground = luminance(one.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (ground < 0.05) is (scheme == "dark")
    for selector in ("body", ".about", ".sections a", ".details", "summary", ".nothing, .facts"):
        assert contrast(one, selector) >= 4.5
    for selector in ("#curves-0 .xtick text", "#curves-0 .ytitle", "#curves-0 .legendtext"):
        assert contrast(one, selector, "fill") >= 4.5


def test_charts_follow_the_theme_when_it_changes(opened, findings_of):
    one = opened(findings_of(), color_scheme="light")
    before = one.traces("curves-0")
    one.page.select_option("#theme", "dark")
    assert one.traces("curves-0") == before
    assert contrast(one, "#curves-0 .xtick text", "fill") >= 4.5
    assert luminance(one.page.evaluate("getComputedStyle(document.body).backgroundColor")) < 0.05
    one.page.select_option("#theme", "auto")
    assert luminance(one.page.evaluate("getComputedStyle(document.body).backgroundColor")) > 0.9
    assert contrast(one, "#curves-0 .xtick text", "fill") >= 4.5


@pytest.mark.parametrize("width", [400, 800])
def test_a_narrow_window_has_no_horizontal_scroll_and_charts_that_fit(opened, findings_of, width):
    one = opened(findings_of(sources=6, targets=9), viewport={"width": width, "height": 800})
    one.traces("curves-0")
    assert one.page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert one.page.locator("#curves-0 .main-svg").first.bounding_box()["width"] <= width
    assert one.page.locator("#curves-0 .legend .scrollbar").bounding_box()["height"] == 0  # all entries are in sight
    assert one.page.locator("#matrix-0 tbody th").first.bounding_box()["width"] > 80
    wide = one.page.locator("#matrix-0 .scroll")
    assert wide.evaluate("(box) => box.scrollWidth > box.clientWidth")


def test_a_resized_window_redraws_its_charts(opened, findings_of):
    one = opened(findings_of())
    one.traces("curves-0")
    one.page.set_viewport_size({"width": 420, "height": 800})
    one.page.wait_for_function("() => document.getElementById('curves-0')._fullLayout.width < 420")
    assert one.page.evaluate("document.scrollingElement.scrollWidth") <= 420


def test_on_paper_all_charts_are_drawn_on_white_and_controls_are_gone(opened, findings_of):
    one = opened(findings_of(sources=3, targets=3), color_scheme="dark")
    one.page.emulate_media(media="print")
    one.page.wait_for_function(
        "() => [...document.querySelectorAll('.chart')].every((box) => box.querySelector('.trace'))"
    )
    assert not one.page.locator(".sections").is_visible()
    assert not one.page.locator("#seeds").is_visible()
    assert luminance(one.page.evaluate("getComputedStyle(document.body).backgroundColor")) > 0.9
    assert len(one.page.pdf()) > 50_000
    one.page.emulate_media(media="screen")
    one.page.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")


def test_hostile_names_do_nothing(opened, hostile):
    findings, text = hostile
    one = opened(findings)
    one.traces("curves-0")
    assert "synthetic" in one.page.title()
    assert one.page.locator("img").count() == 0
    assert one.page.locator(".description").text_content() == text
    assert any("<script>" in name for name in one.page.locator("#curves-0 .legendtext").all_text_contents())


def test_a_partial_page_has_a_banner(opened, findings_of):
    def status(results: pd.DataFrame) -> list[str]:
        return ["missing" if number % 2 else "ok" for number in range(len(results))]

    one = opened(findings_of(status=status))
    assert one.page.locator(".banner").first.text_content().startswith("Partial: 144 of 288 runs have a result")
    assert one.traces("curves-0") > 2


def test_thousands_of_curves_scroll(opened, thousands_of_curves):
    one = opened(thousands_of_curves)
    one.page.evaluate(LONG_TASKS)
    blank = (
        "[...document.querySelectorAll('.chart')].filter((box) => { const at = box.getBoundingClientRect(); return "
        "box.checkVisibility() && at.top < innerHeight && at.bottom > 0 && !box.querySelector('.trace'); }).length"
    )
    most = 0
    for top in range(0, 9_000, 600):
        one.page.evaluate("(top) => scrollTo({top, behavior: 'instant'})", top)
        one.page.wait_for_function(f"() => {blank} === 0", timeout=5000)
        most = max(most, one.page.evaluate("document.querySelectorAll('[data-drawn]').length"))
    assert 10 < most < 40
    assert max(one.page.evaluate("window.long")) < 2500  # milliseconds; other tests run at the same time
    assert one.count("curves-0") == 0  # far away: taken down again
    one.page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    # 43 thin lines; the target's own source, random and dense with bands
    assert one.traces("curves-0") == 43 + 2 * 3
    one.page.select_option("#highlight", "set-7")
    assert one.traces("curves-0") == 42 + 2 * 4


def test_a_diverged_run_has_a_ring_and_its_line_looks_as_ever(opened, findings_of):
    def status(results: pd.DataFrame) -> list[str]:
        return [
            "diverged" if (row == ("set-0", 8)) else "ok"
            for row in zip(results["source"], results["round"], strict=True)
        ]

    one = opened(findings_of(status=status))
    assert one.traces("curves-0") == 2 * 4 + 1
    symbols = "(id) => document.getElementById(id).data.map((trace) => trace.marker?.symbol)"
    assert one.page.evaluate(symbols, "curves-0")[4:] == ["circle", "square", "x", None, "circle-open"]


def test_chance_of_pairs_that_differ_in_size_has_the_colours_of_the_pairs(opened, findings_of):
    findings = findings_of(sources=3)
    table = findings.overlap.copy()
    larger = (table["kind"] == "sources") & (table["other_source"] == "set-2") & (table["source"] == "set-0")
    table.loc[larger, "survivors"] += 50_000
    one = opened(replace(findings, overlap=table))
    one.traces("overlap-0")
    colours = "(id) => document.getElementById(id).data.map((trace) => [trace.name, trace.line.color])"
    inks = dict(one.page.evaluate(colours, "overlap-0"))
    pair = "set-0 and set-2"
    assert inks[f"chance, over all layers: {pair}"] == inks[f"chance, within layers: {pair}"] == inks[pair]
