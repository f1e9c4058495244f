"""Addresses of the charts, for `tickets ui` to print."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pipeline.engine.tracking.links import experiment_links
from pipeline.engine.tracking.sync import sync
from pipeline.engine.tracking.uri import sqlite_path
from pipeline.experiment.grid import Grid

MakeSnapshot = Callable[..., Any]


def test_every_experiment_of_a_database_has_a_link_to_its_chart(uri: str, grid: Grid, snapshot: MakeSnapshot) -> None:
    sync(grid, snapshot(grid), uri)
    database = sqlite_path(uri)
    assert database is not None
    links = experiment_links(database, "http://127.0.0.1:5000")
    parts = urlsplit(links[grid.name])
    assert parts.netloc == "127.0.0.1:5000"
    page, _, query = parts.fragment.partition("?")
    assert page.startswith("/experiments/") and page.endswith("/runs")
    asked = parse_qs(query)
    assert asked["compareRunsMode"] == ["CHART"] and asked["searchFilter"] == ["tags.seed = 'all'"]


def test_a_database_of_another_kind_has_no_links(tmp_path: Path) -> None:
    (tmp_path / "other.db").write_bytes(b"not a database")
    assert experiment_links(tmp_path / "other.db", "http://127.0.0.1:5000") == {}
    assert experiment_links(tmp_path / "none.db", "http://127.0.0.1:5000") == {}
    assert not (tmp_path / "none.db").exists()
