"""The ticket of a source is a version of a registered model, and says what it is made of."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from pipeline.cli.export import choose
from pipeline.engine.store import Store
from pipeline.engine.tracking.digest import is_tracked, remember_tracked
from pipeline.engine.tracking.sync import sync
from pipeline.engine.tracking.tickets import tickets_of
from pipeline.engine.tracking.tracker import Tracker
from pipeline.experiment.grid import Grid

RunsOf = Callable[[str, Grid], dict[str, Any]]
ClientOf = Callable[[str, Grid], Any]
MakeGrid = Callable[..., Grid]
MakeSnapshot = Callable[..., Any]

Versions = Callable[[], dict[tuple[str, str], Any]]
STORE = "s3://key:secret@bucket/store"


@pytest.fixture
def versions(uri: str, grid: Grid, client_of: ClientOf) -> Versions:
    def there() -> dict[tuple[str, str], Any]:
        found = client_of(uri, grid).search_model_versions(f"tags.experiment = '{grid.name}'")
        assert len({(version.name, version.tags["seed"]) for version in found}) == len(found), "a twin"
        return {(version.tags["source"], version.tags["seed"]): version for version in found}

    return there


def everything(grid: Grid, snapshot: MakeSnapshot, uri: str, records: Any = None) -> Tracker:
    records = snapshot(grid) if records is None else records
    return sync(grid, records, uri, tickets=tickets_of(grid, records, STORE))


def test_each_source_has_a_model_and_each_seed_a_version_of_the_last_round(
    uri: str, grid: Grid, snapshot: MakeSnapshot, versions: Versions, runs_of: RunsOf
) -> None:
    assert everything(grid, snapshot, uri).counts.versions == 4
    found = versions()
    assert set(found) == {(source, seed) for source in ("one", "two") for seed in ("0", "1")}
    version = found["one", "1"]
    assert version.name == f"{grid.name}.one"
    assert version.tags["round"] == "2"
    assert float(version.tags["fraction_pruned"]) == pytest.approx(0.75, abs=1e-3)
    assert version.run_id == runs_of(uri, grid)["one -> one, winning, sgd, seed 1"].info.run_id


def test_its_lineage_names_stages_and_hashes_and_no_credentials(
    uri: str, grid: Grid, snapshot: MakeSnapshot, versions: Versions, client_of: ClientOf
) -> None:
    everything(grid, snapshot, uri)
    version = versions()["two", "0"]
    folder = Path(client_of(uri, grid).download_artifacts(version.run_id, "ticket"))
    assert version.source == f"runs:/{version.run_id}/ticket"
    told = json.loads((folder / "round-2.json").read_text())
    point = next(p for p in grid.points if (p.source, p.target, p.round, p.seed) == ("two", "two", 2, 0))
    assert told["made_of"]["mask"]["stage"] == point.mask
    assert told["made_of"]["mask"]["sha256"] == version.tags["mask_sha256"]
    assert told["made_of"]["weights"]["stage"] == grid.stages[point.stage].inputs["weights"].stage
    assert told["store"] == "s3://bucket/store"
    assert "secret" not in json.dumps(told) + version.description + json.dumps(version.tags)


def test_the_command_that_it_names_exports_that_very_ticket(grid: Grid, snapshot: MakeSnapshot) -> None:
    for ticket in tickets_of(grid, snapshot(grid), STORE):
        command = json.loads(ticket.lineage)["export"]
        assert command in ticket.description
        words = command.split()
        options = dict(zip(words[4::2], words[5::2], strict=True))
        point = choose(
            grid.points,
            options["--ticket"],
            options["--source"],
            options["--target"],
            int(options["--seed"]),
            int(options["--round"]),
        )
        assert json.loads(ticket.lineage)["evaluation"] == point.stage


def test_registering_again_makes_no_version(uri: str, grid: Grid, snapshot: MakeSnapshot, versions: Versions) -> None:
    everything(grid, snapshot, uri)
    before = {key: version.version for key, version in versions().items()}
    assert everything(grid, snapshot, uri).counts.versions == 0
    assert {key: version.version for key, version in versions().items()} == before


def test_of_twins_the_first_stays(
    uri: str, grid: Grid, snapshot: MakeSnapshot, versions: Versions, client_of: ClientOf
) -> None:
    everything(grid, snapshot, uri)
    one = versions()["one", "0"]
    client_of(uri, grid).create_model_version(one.name, one.source, one.run_id, tags=one.tags)
    assert everything(grid, snapshot, uri).counts.versions_deleted == 1
    assert versions()["one", "0"].version == one.version


def test_a_version_whose_run_is_gone_is_made_anew(
    uri: str, grid: Grid, snapshot: MakeSnapshot, versions: Versions, client_of: ClientOf, runs_of: RunsOf
) -> None:
    everything(grid, snapshot, uri)
    client_of(uri, grid).delete_run(versions()["one", "0"].run_id)
    everything(grid, snapshot, uri)
    assert versions()["one", "0"].run_id == runs_of(uri, grid)["one -> one, winning, sgd, seed 0"].info.run_id


def test_a_ticket_that_the_store_has_not_whole_is_not_registered(grid: Grid, snapshot: MakeSnapshot) -> None:
    point = next(p for p in grid.points if (p.source, p.target, p.round, p.seed) == ("one", "one", 2, 0))
    weights = grid.stages[point.stage].inputs["weights"]
    no_mask = snapshot(grid, without=lambda key: key == point.mask)
    assert len(tickets_of(grid, no_mask, STORE)) == 3
    collected = snapshot(grid)
    del collected[weights.stage]["outputs"][weights.output]
    assert {(t.tags["source"], t.tags["seed"]) for t in tickets_of(grid, collected, STORE)} == {
        ("one", "1"),
        ("two", "0"),
        ("two", "1"),
    }


def test_a_ticket_that_starts_from_the_first_weights_says_so(make_grid: MakeGrid, snapshot: MakeSnapshot) -> None:
    grid = make_grid("first", "prune.rewind=0it")
    ticket = tickets_of(grid, snapshot(grid), STORE)[0]
    assert "weights: as seed 0 initializes the model" in ticket.description
    assert set(json.loads(ticket.lineage)["made_of"]) == {"mask"}


def test_a_ticket_whose_evaluation_is_not_there_yet_waits(
    uri: str, grid: Grid, snapshot: MakeSnapshot, versions: Versions
) -> None:
    evaluations = {p.stage for p in grid.points if (p.source, p.seed) == ("one", 0)}
    early = snapshot(grid)
    tickets = tickets_of(grid, early, STORE)
    for key in evaluations:
        del early[key]
    sync(grid, early, uri, tickets=tickets)
    assert ("one", "0") not in versions() and ("one", "1") in versions()


def test_what_a_person_has_promoted_stays(
    uri: str, grid: Grid, snapshot: MakeSnapshot, versions: Versions, client_of: ClientOf
) -> None:
    everything(grid, snapshot, uri)
    client, one = client_of(uri, grid), versions()["one", "0"]
    other = client.copy_model_version(f"models:/{one.name}/{one.version}", f"{grid.name}-production")
    same = client.copy_model_version(f"models:/{one.name}/{one.version}", one.name)
    client.set_registered_model_alias(other.name, "champion", other.version)
    counts = everything(grid, snapshot, uri).counts
    assert (counts.versions, counts.versions_deleted) == (0, 0)
    assert client.get_model_version_by_alias(other.name, "champion").version == other.version
    assert client.get_model_version(one.name, one.version).run_id == one.run_id
    assert client.get_model_version(one.name, same.version).run_id == one.run_id


@pytest.mark.parametrize("aliased", [True, False])
def test_a_ticket_of_more_rounds_replaces_the_one_before_unless_that_has_an_alias(
    uri: str, make_grid: MakeGrid, snapshot: MakeSnapshot, client_of: ClientOf, aliased: bool
) -> None:
    grid = make_grid(f"rounds-{aliased}")
    everything(grid, snapshot, uri)
    client, name = client_of(uri, grid), f"{grid.name}.one"
    before = {version.tags["seed"]: version for version in client.search_model_versions(f"name = '{name}'")}
    if aliased:
        client.set_registered_model_alias(name, "paper", before["0"].version)
    more = make_grid(grid.name, "prune.rounds=3", "prune.evaluate=[0, 1, 2, 3]")
    counts = everything(more, snapshot, uri).counts
    assert (counts.versions, counts.versions_deleted) == (4, 3 if aliased else 4)
    rounds = sorted(
        (found.tags["seed"], found.tags["round"]) for found in client.search_model_versions(f"name = '{name}'")
    )
    assert rounds == [*([("0", "2")] if aliased else []), ("0", "3"), ("1", "3")]
    counts = everything(more, snapshot, uri).counts
    assert (counts.versions, counts.versions_deleted) == (0, 0)


def test_a_driver_withdraws_its_version_where_another_was_first(
    uri: str, grid: Grid, snapshot: MakeSnapshot, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = MlflowClient.create_model_version

    def second(client: MlflowClient, *told: Any, **more: Any) -> Any:
        create(client, *told, **more)
        return create(client, *told, **more)

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "create_model_version", second)
        counts = everything(grid, snapshot, uri).counts
    assert (counts.versions, counts.versions_deleted) == (4, 4)
    assert len(versions()) == 4


@pytest.mark.parametrize("call", ["search_model_versions", "create_registered_model"])
def test_a_registry_that_refuses_is_reported_and_everything_else_is_done(
    uri: str, grid: Grid, snapshot: MakeSnapshot, runs_of: RunsOf, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("no registry for you", PERMISSION_DENIED)

    problems: list[str] = []
    records = snapshot(grid)
    tracker = Tracker(uri, grid, on_problem=problems.append)
    tracker.log_stages(records)
    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, call, refuse)
        assert tracker.finish(tickets=tickets_of(grid, records, STORE))
        assert everything(grid, snapshot, uri).registry_error == tracker.registry_error
    assert tracker.last_error is None
    assert (tracker.registry_error or "").startswith("this user may not do that. Ask its administrator")
    assert len(problems) == 1 and "may not do that" in problems[0] and "runs are in MLflow" in problems[0]
    assert "one -> two, winning, sgd -> adam" in runs_of(uri, grid)
    made_up_for = everything(grid, snapshot, uri)
    assert (made_up_for.counts.versions, made_up_for.registry_error) == (4, None)


def test_tickets_that_could_not_be_registered_or_are_gone_are_registered_by_a_later_run(
    uri: str,
    grid: Grid,
    snapshot: MakeSnapshot,
    versions: Versions,
    client_of: ClientOf,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    store, records = Store(tmp_path / "store"), snapshot(grid)

    def tracked() -> bool:
        return is_tracked(store, uri, grid, records.record)

    def locked(*_: object, **__: object) -> None:
        raise MlflowException("(sqlite3.OperationalError) database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "create_model_version", locked)
        tracker = everything(grid, snapshot, uri, records)
    assert "locked" in (tracker.registry_error or "")
    remember_tracked(store, tracker, uri, grid, records.record)
    assert not tracked()
    remember_tracked(store, everything(grid, snapshot, uri, records), uri, grid, records.record)
    assert tracked() and len(versions()) == 4
    gone = versions()["one", "0"]
    client_of(uri, grid).delete_model_version(gone.name, gone.version)
    assert not tracked()
    remember_tracked(store, everything(grid, snapshot, uri, records), uri, grid, records.record)
    assert tracked() and len(versions()) == 4
