"""Of thousands of curves the page stays small and scrolls, and the stills say what they leave out."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.report.findings import Findings
from pipeline.report.page.rendering import render
from pipeline.report.sections.curves import curves_figure
from pipeline.report.sections.matrices import SECTION as MATRICES

LONG = (0, 1, 2, 3, 4, 5, 6, 9, 12, 15, 18, 21, 24, 27, 30)
AT_ONCE = """() => {
  const draw = Plotly.newPlot;
  let running = 0;
  window.draws = 0;
  window.atOnce = 0;
  Plotly.newPlot = (...given) => {
    if (!running) setTimeout(() => { running = 0; }, 0);
    window.draws += 1;
    window.atOnce = Math.max(window.atOnce, running += 1);
    return draw(...given);
  };
}"""
"""Counts how many charts are drawn, and how many of them at most before the browser can do anything else."""


@pytest.fixture(scope="module")
def findings(findings_of: Callable[..., Findings]) -> Any:
    return findings_of(sources=44, targets=44, rounds=LONG)


@pytest.fixture(scope="module")
def rendered(findings: Findings) -> Any:
    """(the page, seconds of work that it took)."""
    started = time.process_time()  # other tests run at the same time
    page = render(findings)
    return page, time.process_time() - started


def test_the_page_is_less_than_15_mb_and_30_s_of_work(findings: Findings, rendered: Any) -> None:
    page, seconds = rendered
    assert len(findings.computed["curves"].drop_duplicates(["source", "target", "ticket"])) > 2000
    size = len(page.encode())
    print(f"{len(findings.results):,} results: {seconds:.1f} s, {size / 1e6:.1f} MB")
    assert seconds < 30 and size < 15e6


def test_the_page_scrolls(rendered: Any, opened: Any) -> None:
    one = opened(rendered[0])
    browser = one.page.context.new_cdp_session(one.page)
    browser.send("Performance.enable")

    def work() -> float:
        """Seconds of the processor for the page's scripts and styles so far; other tests run at the same time."""
        metrics = browser.send("Performance.getMetrics")["metrics"]
        return next(float(metric["value"]) for metric in metrics if metric["name"] == "ThreadTime")

    one.page.evaluate(AT_ONCE)
    blank = (
        "[...document.querySelectorAll('.chart')].filter((box) => { const at = box.getBoundingClientRect(); return "
        "box.checkVisibility() && at.top < innerHeight && at.bottom > 0 && !box.querySelector('.trace'); }).length"
    )
    most, before = 0, work()
    for top in range(0, 6_000, 600):
        one.page.evaluate("(top) => scrollTo({top, behavior: 'instant'})", top)
        one.until(f"() => {blank} === 0")
        most = max(most, one.page.evaluate("document.querySelectorAll('[data-drawn]').length"))
    assert 10 < most < 40
    assert one.page.evaluate("window.atOnce") == 1, "between two charts the browser can scroll"
    assert (work() - before) / one.page.evaluate("window.draws") < 1
    assert one.count("curves-0") == 0  # far away: taken down again
    one.page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    # 43 thin lines; the target's own source, random and dense with bands
    assert one.traces("curves-0") == 43 + 2 * 3
    one.page.select_option("#highlight", "set-7")
    assert one.traces("curves-0") == 42 + 2 * 4


def test_the_stills_say_what_they_leave_out(findings: Findings) -> None:
    started = time.process_time()
    figure: Any = curves_figure(findings)
    assert "12 of 44 panels" in figure.get_suptitle()
    assert len([axes for axes in figure.axes if axes.get_title()]) == 12
    figure = MATRICES.stills["matrix"](findings)
    assert "the first 16 sources" in figure.get_suptitle()
    assert time.process_time() - started < 20
