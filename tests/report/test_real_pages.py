"""The pages of the experiments that the README names, run for real on a small budget, in headless Chromium."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import results
from pipeline.engine.driver import RunOptions, run
from pipeline.engine.store import Store
from pipeline.experiment.expansion import expand
from pipeline.experiment.loading import load
from pipeline.report.analysis.comparisons import chosen_level, comparisons
from pipeline.report.report import gather
from pipeline.report.rows import rows_of

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
BUDGETS = {
    "quickstart": ["training.lr_decay=null", "training.length=2ep", "training.record_every=1ep", "seeds=3"],
    "mnist_to_fashion": [
        *("training.lr_decay=null", "training.length=40it", "training.record_every=20it", "seeds=2"),
        *("prune.rounds=4", "prune.evaluate=[2, 4]"),
    ],
}
REWIND = "prune.rewind=10it"


@pytest.fixture(scope="module", params=list(BUDGETS))
def experiment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, unheard: Any) -> Any:
    """(grid, store) of an experiment of the README, finished."""
    data = request.getfixturevalue("data_root") if request.param == "mnist_to_fashion" else Path("data")
    grid = expand(load(EXPERIMENTS / f"{request.param}.yaml", [*BUDGETS[request.param], REWIND]), data)
    store = Store(str(tmp_path_factory.mktemp(request.param)))
    run(grid, RunOptions(store.uri, data, local=True), unheard)
    return grid, store


@pytest.fixture(scope="module")
def one(experiment: Any, visit: Any) -> Iterator[Any]:
    """Its page, opened."""
    grid, store = experiment
    with visit(gather(grid, store, store.snapshot())) as page:
        yield page


def test_a_page_fits_its_screen_in_both_themes(one: Any) -> None:
    for width in (400, 800, 1400):
        one.page.set_viewport_size({"width": width, "height": 900})
        backgrounds = set()
        for scheme in ("light", "dark"):
            one.page.select_option("#theme", scheme)
            one.traces("curves-1")
            one.until(f"() => document.scrollingElement.scrollWidth <= {width}")
            backgrounds.add(one.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(backgrounds) == 2 and "rgba(0, 0, 0, 0)" not in backgrounds


def test_every_figure_has_its_marks_and_every_cell_its_number(experiment: Any, one: Any) -> None:
    grid, store = experiment
    charts = one.page.evaluate("[...document.querySelectorAll('.chart')].map((box) => box.id)")
    kinds = {
        "curves": 2,
        "learning": 2,
        "convergence": 2,
        "converged": 2,
        "remaining": 2,
        "ratio": 2,
        "last": 2,
        "overlap": 1,
    }
    assert {kind: sum(id.startswith(f"{kind}-") for id in charts) for kind in kinds} == kinds
    for chart in charts:
        # trained this briefly, few runs converge
        assert one.traces(chart) > (0 if chart.startswith("converge") else 1)
    # winning tickets of two sources, random ones and the dense network, each with its band
    assert one.traces("curves-0") == one.traces("curves-1") == 2 * 4
    table = comparisons(results(grid.name, store=store.uri), grid.spec)
    at = table[table["left"] == chosen_level(table, None)]
    for number, (comparison, count) in enumerate((("control", 4), ("transfer", 2), ("dense", 4))):
        rows = at[at["comparison"] == comparison]
        expected = {(row.source, row.target): f"{100 * row.difference:+.2f}" for row in rows_of(rows)}
        assert len(expected) == count
        cells = (
            f"[...document.querySelectorAll('#matrix-{number} tbody tr')].map((row) => [...row.children].map("
            "(cell) => (cell.querySelector('.value') ?? cell).textContent.trim()))"
        )
        targets = [side.name for side in grid.spec.targets]
        for source, *values in one.page.evaluate(cells):
            for target, value in zip(targets, values, strict=True):
                assert value == expected.get((source, target), "own source")
