"""The command of a job, and where its driver finds memory for its lanes' controllers."""

import importlib.metadata
import re
import sys
from collections.abc import Callable

import pytest

from pipeline.engine.jobs import submission
from pipeline.engine.jobs.cluster import Cluster
from pipeline.engine.jobs.submission import SUBMITTED, check_identity, entrypoint, identity, job_name, place_driver
from pipeline.experiment.errors import UserError
from pipeline.experiment.stages import Shape
from pipeline.recipes.keys import RECIPE

MakeCluster = Callable[..., Cluster]
ONE = [Shape()]


def test_the_driver_stays_on_the_head_where_its_lanes_fit(cluster_of: MakeCluster) -> None:
    place = place_driver(cluster_of((8, 0, 16), (8, 0, 16)), ONE, stages=500, lanes=None)
    assert (place.lanes, place.memory) == (None, 0)


def test_a_driver_with_more_lanes_than_the_head_holds_goes_to_a_larger_node(cluster_of: MakeCluster) -> None:
    place = place_driver(cluster_of((0, 0, 4), (40, 0, 64)), ONE, stages=500, lanes=None)
    assert place.lanes == 40
    assert 16e9 < place.memory <= 32e9


def test_what_asks_for_few_lanes_stays_on_a_small_head(cluster_of: MakeCluster) -> None:
    small = cluster_of((0, 0, 4), (40, 0, 64))
    assert place_driver(small, ONE, stages=500, lanes=3).memory == 0
    assert place_driver(small, ONE, stages=3, lanes=None).memory == 0
    assert place_driver(small, [Shape(cpus_per_worker=20.0)], stages=500, lanes=None).memory == 0


def test_where_no_node_is_large_enough_there_are_fewer_lanes(cluster_of: MakeCluster) -> None:
    assert place_driver(cluster_of((40, 0, 4)), ONE, stages=500, lanes=None).lanes == 5
    assert place_driver(cluster_of((0, 0, 2), (40, 0, 8)), ONE, stages=500, lanes=None).lanes == 10


def test_the_driver_keeps_to_the_head_of_a_cluster_whose_nodes_come_and_go(cluster_of: MakeCluster) -> None:
    place = place_driver(cluster_of((0, 0, 8), (64, 8, 256), grows=True), ONE, stages=5000, lanes=None)
    assert (place.lanes, place.memory) == (10, 0)


def test_no_driver_asks_for_more_memory_than_a_node_has(cluster_of: MakeCluster) -> None:
    assert place_driver(cluster_of((0, 0, 0.5), (40, 0, 2.5)), ONE, stages=500, lanes=None).memory <= 2.5e9


def test_a_jobs_name_can_be_part_of_an_address() -> None:
    assert re.fullmatch(r"tickets-a-b-c-[0-9a-f]{8}", job_name("a/b c"))
    assert job_name("a") != job_name("a")


def test_a_package_that_was_sent_need_not_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.delenv(SUBMITTED, raising=False)
    monkeypatch.setattr(importlib.metadata, "version", absent)
    check_identity()


def test_the_command_is_quoted_and_takes_its_shells_place(cluster_of: MakeCluster) -> None:
    command = entrypoint(cluster_of((1, 0, 8)), ["run", "grids/a b.yaml", "--set", "seeds=[0, 1]"], installed=False)
    assert command == "exec python -m pipeline run 'grids/a b.yaml' --set 'seeds=[0, 1]'"
    assert entrypoint(cluster_of((1, 0, 8)), ["run"], installed=True) == "exec tickets run"
    here = entrypoint(cluster_of((1, 0, 8), ip="127.0.0.1"), ["run"], installed=False)
    assert here == f"exec {sys.executable} -m pipeline run"


def test_another_package_on_the_cluster_than_the_submitters_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SUBMITTED, identity())
    check_identity()
    monkeypatch.setattr(submission, "RECIPE", RECIPE + 1)
    with pytest.raises(UserError, match="Build the cluster's image anew, or submit without --installed"):
        check_identity()
