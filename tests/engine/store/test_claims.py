"""Claims are advice among drivers that live; ages are compared on the file system's clock alone."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from pipeline.engine.store import Store

KEY = "a" * 64


@pytest.fixture(params=["disk", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return Store(tmp_path)
    return Store(".", filesystem=SubTreeFileSystem(str(tmp_path), LocalFileSystem()))


def beat_at(tmp_path: Path, driver: str, seconds: float) -> None:
    os.utime(tmp_path / f"drivers/{driver}.json", (seconds, seconds))


def claim(store: Store, key: str, driver: str) -> bool:
    """Claim as a driver that is at work: it has a heartbeat."""
    if driver not in store.drivers.living() and store.folder.stat(f"drivers/{driver}.json") is None:
        store.drivers.beat(driver, {})
    return store.claims.claim(key, driver)


def test_a_lane_that_outlived_its_driver_gets_no_claim_and_leaves_no_heartbeat(store: Store) -> None:
    store.drivers.beat("killed", {})
    store.claims.retire("killed")  # by the driver that came after it
    assert not store.claims.claim(KEY, "killed")
    assert store.drivers.living() == {}


def test_one_driver_at_a_time(store: Store) -> None:
    assert claim(store, KEY, "one") and claim(store, KEY, "one")
    assert not claim(store, KEY, "two")
    store.claims.release(KEY, "two")
    assert not claim(store, KEY, "two")
    store.claims.release(KEY, "one")
    assert claim(store, KEY, "two") and not claim(store, KEY, "one")


def test_a_damaged_claim_goes_with_the_stage_or_with_the_driver(store: Store, tmp_path: Path) -> None:
    """It would be named by every `verify` after the run."""
    for key in ("a" * 64, "b" * 64):
        assert claim(store, key, "one")
        (tmp_path / f"claims/{key}.json").write_bytes(b"")
    store.claims.release("a" * 64, "one")
    assert [path.name for path in (tmp_path / "claims").iterdir()] == [f"{'b' * 64}.json"]
    store.claims.retire("one")
    assert not list((tmp_path / "claims").iterdir()) and not list(store.verify())


def test_a_silent_drivers_claim_is_taken_over(store: Store, tmp_path: Path) -> None:
    claim(store, KEY, "one")
    store.drivers.beat("two", {})
    # Both long ago: only the difference between the two files counts, not the time now.
    beat_at(tmp_path, "one", 1000)
    beat_at(tmp_path, "two", 1059)
    assert not claim(store, KEY, "two")
    beat_at(tmp_path, "two", 1061)
    assert claim(store, KEY, "two")
    store.drivers.beat("one", {})
    store.drivers.beat("two", {})
    assert not claim(store, KEY, "one")
    assert not list(store.verify())


def test_how_long_silence_lasts_is_configurable(store: Store, tmp_path: Path) -> None:
    claim(store, KEY, "one")
    store.drivers.beat("two", {})
    beat_at(tmp_path, "one", 1000)
    beat_at(tmp_path, "two", 1010)
    store.drivers.stale_after = 5
    assert claim(store, KEY, "two")


def test_a_retired_driver_leaves_nothing(store: Store) -> None:
    store.drivers.beat("one", {"done": 2})
    store.drivers.beat("two", {})
    claim(store, KEY, "one")
    claim(store, "b" * 64, "two")
    store.claims.retire("one")
    assert set(store.drivers.living()) == {"two"}
    assert claim(store, KEY, "two") and not claim(store, "b" * 64, "three")


def test_a_drivers_death_frees_its_claims_for_the_next(store: Store, tmp_path: Path) -> None:
    claim(store, KEY, "one")
    beat_at(tmp_path, "one", 1000)
    assert claim(store, KEY, "two")


def test_a_killed_driver_is_no_longer_listed_and_its_traces_go(store: Store, tmp_path: Path) -> None:
    claim(store, KEY, "killed")
    store.drivers.beat("alive", {})
    assert set(store.drivers.living()) == {"killed", "alive"}
    beat_at(tmp_path, "killed", 1000)
    assert set(store.drivers.living()) == {"alive"}
    store.claims.retire("alive")
    assert not store.drivers.living() and not store.folder.files("drivers")
    assert claim(store, KEY, "next")


def test_heartbeats_are_told(store: Store, tmp_path: Path) -> None:
    store.drivers.beat("host.example:12", {"experiment": "demo"})
    store.drivers.beat("host.example:12", {"experiment": "demo", "done": 3})
    beat_at(tmp_path, "host.example:12", 1000)
    beat = store.drivers.living()["host.example:12"]
    assert beat.status == {"experiment": "demo", "done": 3} and beat.at == 1000


def test_of_many_drivers_on_one_disk_exactly_one_gets_the_claim(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as drivers:
        for number in range(20):
            granted = list(drivers.map(lambda name, n=number: claim(Store(tmp_path), str(n), name), "abcdefgh"))
            assert granted.count(True) == 1
