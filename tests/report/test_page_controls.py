"""What a reader can do with the page, in headless Chromium: all with one page, of two sources on two targets."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.report.findings import Findings

THEME = "(name) => document.documentElement.dataset.theme === name"


@pytest.fixture(scope="module")
def opened_once(visit: Any, findings_of: Callable[..., Findings]) -> Iterator[Any]:
    with visit(findings_of()) as page:
        yield page


@pytest.fixture
def one(opened_once: Any) -> Any:
    """The page in its first window and in light. A test sets back what it chooses in it."""
    opened_once.page.set_viewport_size({"width": 1300, "height": 900})
    opened_once.page.emulate_media(media="screen", color_scheme="light")
    opened_once.until(THEME, "light")
    return opened_once


def test_a_cell_explains_itself_to_keyboard_pointer_and_finger(one: Any) -> None:
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


def test_single_seeds_come_on_demand(one: Any) -> None:
    before = one.traces("curves-0")
    one.page.check("#seeds")
    assert one.traces("curves-0") == before + 3
    # six seeds of eight points on the winning line; matplotlib's and plotly's gap between seeds has no point
    points = "document.querySelectorAll('#curves-0 .scatterlayer .trace .points path').length"
    with_seeds = one.page.evaluate(points)
    one.page.uncheck("#seeds")
    assert one.traces("curves-0") == before
    assert with_seeds - one.page.evaluate(points) == 6 * (8 + 8 + 7)


def test_the_y_axis_can_be_narrowed_to_the_differences(one: Any) -> None:
    one.traces("curves-0")
    everything = one.page.evaluate("document.getElementById('curves-0')._fullLayout.yaxis.range")
    one.page.select_option("#zoom", "differences")
    narrowed = one.page.evaluate("document.getElementById('curves-0')._fullLayout.yaxis.range")
    assert narrowed[1] - narrowed[0] < 0.5 * (everything[1] - everything[0])
    one.page.select_option("#zoom", "all")
    assert one.page.evaluate("document.getElementById('curves-0')._fullLayout.yaxis.range") == everything


def test_hovering_over_a_point_says_what_it_is(one: Any, findings_of: Callable[..., Findings]) -> None:
    findings = findings_of()
    one.traces("curves-0")
    one.page.locator("#curves-0 .scatterlayer .trace .points path").nth(7).hover(force=True)
    text = one.page.locator("#curves-0 .hoverlayer").text_content()
    row = findings.computed["curves"][
        (findings.computed["curves"]["round"] == 20) & (findings.computed["curves"]["source"] == "set-0")
    ].iloc[0]
    assert "winning, from set-0" in text
    assert f"test accuracy: {100 * row['mean']:.4g} ± {100 * row['std']:.3g}"[:-2] in text
    assert "weights that survive: 3,069" in text
    assert "round: 20" in text and "n: 6" in text


def test_a_resized_window_redraws_its_charts(one: Any) -> None:
    one.traces("curves-0")
    one.page.set_viewport_size({"width": 420, "height": 800})
    one.until("() => document.getElementById('curves-0')._fullLayout.width < 420")
    assert one.page.evaluate("document.scrollingElement.scrollWidth") <= 420


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
def test_light_and_dark_can_be_read(one: Any, scheme: str) -> None:
    one.page.emulate_media(color_scheme=scheme)
    one.page.reload()
    one.traces("curves-0")
    ground = luminance(one.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (ground < 0.05) is (scheme == "dark")
    for selector in ("body", ".about", ".sections a", ".details", "summary", ".nothing, .facts"):
        assert contrast(one, selector) >= 4.5
    for selector in ("#curves-0 .xtick text", "#curves-0 .ytitle", "#curves-0 .legendtext"):
        assert contrast(one, selector, "fill") >= 4.5


def test_charts_follow_the_theme_when_it_changes(one: Any) -> None:
    before = one.traces("curves-0")
    one.page.select_option("#theme", "dark")
    assert one.traces("curves-0") == before
    assert contrast(one, "#curves-0 .xtick text", "fill") >= 4.5
    assert luminance(one.page.evaluate("getComputedStyle(document.body).backgroundColor")) < 0.05
    one.page.select_option("#theme", "auto")
    assert luminance(one.page.evaluate("getComputedStyle(document.body).backgroundColor")) > 0.9
    assert contrast(one, "#curves-0 .xtick text", "fill") >= 4.5


def test_on_paper_all_charts_are_drawn_on_white_and_controls_are_gone(one: Any) -> None:
    one.page.emulate_media(color_scheme="dark")
    one.until(THEME, "dark")
    one.page.emulate_media(media="print")
    one.until("() => [...document.querySelectorAll('.chart')].every((box) => box.querySelector('.trace'))")
    assert not one.page.locator(".sections").is_visible()
    assert not one.page.locator("#seeds").is_visible()
    assert luminance(one.page.evaluate("getComputedStyle(document.body).backgroundColor")) > 0.9
    assert len(one.page.pdf()) > 50_000
    one.page.emulate_media(media="screen")
    one.until(THEME, "dark")
