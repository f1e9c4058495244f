"""The experiment says what is to be seen in it, and how; what a person writes there stays."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from mlflow import MlflowClient

from pipeline.engine.tracking.client import connect
from pipeline.engine.tracking.description import description
from pipeline.engine.tracking.description_owner import NOTE, NOTED
from pipeline.engine.tracking.digest import projection_digest
from pipeline.engine.tracking.sync import sync
from pipeline.experiment.errors import UserError
from pipeline.experiment.grid import Grid

ClientOf = Callable[[str, Grid], Any]
MakeGrid = Callable[..., Grid]
MakeSnapshot = Callable[..., Any]


def note(uri: str, grid: Grid, client_of: ClientOf) -> str:
    return str(client_of(uri, grid).get_experiment_by_name(grid.name).tags[NOTE])


def test_it_begins_with_the_grids_own_words_and_names_its_parts(grid: Grid) -> None:
    text = description(grid, "7")
    assert text.startswith("Halves of the digits.")
    for told in ("2 sources", "2 targets", "2 seeds", "2 rounds", "25 %", "lenet-30-10", f"`{grid.name}.one`"):
        assert told in text
    for query in ("tags.seed = 'all' and tags.target = 'two'", "tags.source = 'one' and tags.ticket = 'winning'"):
        assert query in text


def test_every_link_opens_the_filter_beside_it(grid: Grid) -> None:
    text = description(grid, "7")
    links = re.findall(r"\[[^]]+\]\(#([^)]+)\): `([^`]+)`", text)
    assert len(links) == 5
    for link, query in links:
        parts = urlsplit(link)
        assert parts.path == "/experiments/7/runs"
        assert parse_qs(parts.query) == {
            "searchFilter": [query],
            "compareRunsMode": ["CHART"],
            "workflowType": ["machine_learning"],
        }


def test_every_filter_finds_runs(uri: str, grid: Grid, snapshot: MakeSnapshot, client_of: ClientOf) -> None:
    sync(grid, snapshot(grid), uri)
    client = client_of(uri, grid)
    experiment = client.get_experiment_by_name(grid.name)
    assert experiment.tags[NOTE] == description(grid, experiment.experiment_id)
    queries = re.findall(r"`(tags\.[^`]+)`", experiment.tags[NOTE])
    assert [len(client.search_runs([experiment.experiment_id], query)) for query in queries] == [4, 3, 3, 2, 2]


def test_it_fits_however_long_names_and_words_are(make_grid: MakeGrid) -> None:
    sides = [f"{{name: {'n' * 140}{i}, dataset: {{name: digits, per_class: {9 + i}}}}}" for i in range(9)]
    grid = make_grid(
        "long", f"sources=[{', '.join(sides)}]", "seeds=[0]", "prune.rewind=0it", f"description={'word ' * 1500}"
    )
    text = description(grid, "7")
    assert len(text) <= 5000
    assert "**Chart view**" in text and "**Further**" in text and "…" in text


@pytest.mark.parametrize("text", ["my own notes", "Halves of the digits.", "Halves", ""])
def test_one_that_a_person_wrote_shortened_or_emptied_stays(
    uri: str, make_grid: MakeGrid, snapshot: MakeSnapshot, client_of: ClientOf, text: str
) -> None:
    grid = make_grid(f"written-{len(text)}")
    sync(grid, snapshot(grid), uri)
    client = client_of(uri, grid)
    client.set_experiment_tag(client.get_experiment_by_name(grid.name).experiment_id, NOTE, text)
    other = make_grid(grid.name, "description=In other words.")
    sync(other, snapshot(other), uri)
    assert note(uri, grid, client_of) == text


def test_one_that_a_person_wrote_before_the_first_run_stays(
    uri: str, grid: Grid, snapshot: MakeSnapshot, client_of: ClientOf
) -> None:
    connect(uri, grid.name).client.set_experiment_tag(connect(uri, grid.name).experiment_id, NOTE, "my own notes")
    sync(grid, snapshot(grid), uri)
    assert note(uri, grid, client_of) == "my own notes"


def test_one_of_a_database_that_is_older_than_these_descriptions_is_replaced(
    uri: str, grid: Grid, snapshot: MakeSnapshot, client_of: ClientOf
) -> None:
    sync(grid, snapshot(grid), uri)
    client = client_of(uri, grid)
    experiment = client.get_experiment_by_name(grid.name).experiment_id
    for run in client.search_runs([experiment], "tags.seed = 'all'"):
        client.delete_tag(run.info.run_id, "seed")
    client.delete_experiment_tag(experiment, NOTED)
    client.set_experiment_tag(experiment, NOTE, "What the file said then.")
    sync(grid, snapshot(grid), uri)
    assert note(uri, grid, client_of) == description(grid, experiment)
    assert len(client.search_runs([experiment], "tags.seed = 'all'")) == 6


@pytest.mark.parametrize(
    ("told", "begins"),
    [
        ("One.\n\nTwo.\n\nThree.", "One. Charts and filters: the arrow at the right.\n\nTwo.\n\nThree.\n\n**Does"),
        (
            "Two\nlines.\n- and\n- a list",
            "Two\nlines. Charts and filters: the arrow at the right.\n- and\n- a list\n\n**",
        ),
        ("", "Charts and filters: the arrow at the right.\n\n**Does"),
    ],
)
def test_the_hint_is_where_mlflow_shows_it(make_grid: MakeGrid, told: str, begins: str) -> None:
    grid = make_grid("hint", f"description={json.dumps(told)}")
    assert description(grid, "7").startswith(begins)


def test_ours_follows_the_grid_even_after_a_crash_between_its_two_tags(
    uri: str,
    grid: Grid,
    make_grid: MakeGrid,
    snapshot: MakeSnapshot,
    client_of: ClientOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync(grid, snapshot(grid), uri)
    other = make_grid(grid.name, "description=In other words.")
    set_tag = MlflowClient.set_experiment_tag

    def crash(client: MlflowClient, experiment_id: str, name: str, value: Any) -> None:
        if name == NOTE:
            raise ConnectionError("gone")
        set_tag(client, experiment_id, name, value)

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "set_experiment_tag", crash)
        with pytest.raises(UserError, match="gone"):
            sync(other, snapshot(other), uri)
    assert note(uri, grid, client_of).startswith("Halves of the digits.")
    sync(other, snapshot(other), uri)
    assert note(uri, grid, client_of).startswith("In other words.")


@pytest.mark.parametrize("change", ["description=In other words.", "analysis.margin=0.02"])
def test_a_new_description_or_analysis_is_something_to_be_logged(grid: Grid, make_grid: MakeGrid, change: str) -> None:
    changed = make_grid(grid.name, change)
    assert projection_digest(grid, lambda key: None) == projection_digest(make_grid(grid.name), lambda key: None)
    assert projection_digest(grid, lambda key: None) != projection_digest(changed, lambda key: None)
