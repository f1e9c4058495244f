"""MLflow's own UI answers the question after the clicks that the experiment's description names."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, ProxySettings, TimeoutError, expect

from pipeline.engine.tracking.links import experiment_links
from pipeline.engine.tracking.sync import sync
from pipeline.engine.tracking.tickets import tickets_of
from pipeline.experiment.grid import Grid

MakeGrid = Callable[..., Grid]
MakeSnapshot = Callable[..., Any]

TRANSFERS = {
    "one -> one, winning, sgd",
    "one -> two, winning, sgd -> adam",
    "two -> one, winning, adam -> sgd",
    "two -> two, winning, adam",
}
LINES = """
card => [...card.querySelector('.js-plotly-plot').data]
    .map(trace => ({name: trace.name, x: [...(trace.x || [])], y: [...(trace.y || [])]}))
    .filter(trace => trace.name && trace.x.length)
"""
"""From a chart's card to its lines, as plotly draws them."""
SECONDS = 600
SLOW = 120_000
"""Milliseconds within which the UI shows what was clicked for, on a machine that runs other tests."""


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database without the experiments of other tests."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db"


@pytest.fixture(scope="module")
def tracked(make_grid: MakeGrid, snapshot: MakeSnapshot, uri: str) -> str:
    grid = make_grid("shown")
    records = snapshot(grid)
    sync(grid, records, uri, tickets=tickets_of(grid, records, "store"))
    return uri


@pytest.fixture(scope="module")
def address(browser: Browser, tracked: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's UI on the database, started as `tickets ui` does it; the browser first, for it may not be there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log: Path = tmp_path_factory.mktemp("ui") / "log"
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": tracked, "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    with log.open("wb") as told:
        server = subprocess.Popen(
            command, env=environment, cwd=log.parent, stdout=told, stderr=told, start_new_session=True
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_for(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    pytest.fail(f"MLflow's UI did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def runs(address: str, tracked: str) -> str:
    """Address of the experiment's list of runs."""
    chart = experiment_links(Path(tracked.removeprefix("sqlite:///")), address)["shown"]
    return f"{chart.partition('?')[0]}?workflowType=machine_learning"


@pytest.fixture(scope="module")
def context(browser: Browser, address: str, runs: str) -> Iterator[BrowserContext]:
    """Visits with nothing but the server within reach, after what is offered on the first of them is closed."""
    # A proxy that is not there, and no route: a route would keep the browser from caching the UI's scripts.
    nowhere = ProxySettings(server="http://127.0.0.1:9", bypass="127.0.0.1")
    visit = browser.new_context(viewport={"width": 1400, "height": 1000}, proxy=nowhere)
    visit.set_default_timeout(SLOW)
    expect.set_options(timeout=SLOW)
    first = visit.new_page()
    # The assistant takes a third of the width until somebody closes it.
    first.goto(runs)
    expect(first.get_by_test_id("search-box")).to_be_visible()
    _click_if_there(first.get_by_role("button", name="Close", exact=True).first)
    first.goto(f"{address}/#/models")
    _click_if_there(first.get_by_role("button", name="Try it now"))
    yield visit
    visit.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """The first tab, emptied: in a new one Chromium reads the UI's scripts anew."""
    context.pages[0].goto("about:blank")
    return context.pages[0]


def _click_if_there(button: Locator) -> None:
    """What MLflow recommends on a first visit, some versions of it."""
    with contextlib.suppress(TimeoutError):
        button.click(timeout=3000)


def _filter(page: Page, query: str) -> None:
    search = page.get_by_test_id("search-box")
    search.fill(query)
    search.press("Enter")


def _chart(page: Page, metric: str) -> Locator:
    """The card of that chart in the section that the description names."""
    section = page.get_by_test_id("experiment-view-compare-runs-section-header").filter(has_text="Model metrics")
    expect(section).to_be_visible()
    card = page.get_by_test_id("experiment-view-compare-runs-card").filter(has=page.get_by_text(metric, exact=True))
    expect(card.locator(".js-plotly-plot .scatterlayer .trace").first).to_be_visible()
    return card.first


def _lines(page: Page, metric: str, names: set[str]) -> dict[str, tuple[list[float], list[float]]]:
    """Name -> x and y of the lines of that chart, as soon as they have these names."""
    chart, deadline = _chart(page, metric), time.monotonic() + SLOW / 1000
    while True:
        lines = {line["name"]: (line["x"], line["y"]) for line in chart.evaluate(LINES)}
        if set(lines) == names or time.monotonic() > deadline:
            assert set(lines) == names
            return lines
        page.wait_for_timeout(100)


def test_the_described_clicks_lead_to_the_chart_of_accuracy_by_round(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_text("Model training", exact=True).click()
    page.get_by_role("link", name="Experiments", exact=True).first.click()
    page.get_by_role("link", name="shown", exact=True).click()
    page.get_by_role("link", name="Runs", exact=True).click()
    chart_view = page.locator("label:has(input[value=CHART])")
    chart_view.hover()
    expect(page.get_by_role("tooltip").filter(has_text="Chart view").first).to_be_visible()
    chart_view.click()
    _filter(page, "tags.seed = 'all' and tags.ticket = 'winning'")
    expect(page.get_by_text("4 matching runs")).to_be_visible()
    lines = _lines(page, "test_accuracy", TRANSFERS)
    for rounds, accuracies in lines.values():
        assert rounds == [0, 1, 2]
        assert accuracies == sorted(accuracies, reverse=True)
    assert lines["one -> one, winning, sgd"][1] == pytest.approx([0.949, 0.939, 0.929])
    assert lines["one -> two, winning, sgd -> adam"][1] == pytest.approx([0.949, 0.919, 0.889])


def test_the_descriptions_link_leads_to_the_same_chart(page: Page, runs: str) -> None:
    page.goto(runs)
    expect(page.get_by_text("Halves of the digits. Charts and filters: the arrow at the right.")).to_be_visible()
    page.get_by_test_id("experiment-metadata-editor-edit-button").locator("xpath=following::button[1]").click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="On two", exact=True).click()
    names = {"one -> two, winning, sgd -> adam", "two -> two, winning, adam", "random on two, adam"}
    _lines(opened.value, "test_accuracy", names)
    colours = opened.value.get_by_test_id("experiment-view-table-run-color").evaluate_all(
        "marks => marks.map(mark => getComputedStyle(mark).backgroundColor)"
    )
    assert len(set(colours)) == len(colours)
    opened.value.close()


def test_all_runs_can_be_shown_in_that_one_chart(page: Page, address: str, tracked: str) -> None:
    page.goto(experiment_links(Path(tracked.removeprefix("sqlite:///")), address)["shown"])
    expect(page.get_by_text("6 matching runs")).to_be_visible()
    page.get_by_test_id("experiment-view-runs-visibility-column-header").click()
    page.get_by_role("menuitemradio", name="Show all runs").click()
    page.get_by_placeholder("Search metric charts").fill("test_accuracy$")
    expect(page.get_by_test_id("experiment-view-compare-runs-card")).to_have_count(1)
    _lines(page, "test_accuracy", TRANSFERS | {"random on one, sgd", "random on two, adam"})


def test_data_sets_and_the_registered_ticket_are_shown(page: Page, runs: str, address: str) -> None:
    page.goto(runs)
    page.get_by_role("link", name="one -> two, winning, sgd -> adam").click()
    expect(page.get_by_role("heading", name="Datasets")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile(r"digits, half a \("))).to_be_visible()
    page.goto(f"{address}/#/models")
    page.get_by_role("link", name="shown.one", exact=True).click()
    page.get_by_role("link", name="Version 1", exact=True).click()
    expect(page.get_by_text("tickets export FILE ticket.safetensors --source one")).to_be_visible()
    page.get_by_role("link", name="one -> one, winning, sgd, seed 0").click()
    expect(page.get_by_role("link", name="shown.one")).to_be_visible()
