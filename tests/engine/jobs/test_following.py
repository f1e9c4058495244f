"""A job that is followed: its output is written once, its end is a shell's exit code, a lost cluster is told."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from pipeline.engine.jobs import client
from pipeline.engine.jobs.client import ClusterLostError, Job, exit_code, follow
from pipeline.engine.jobs.cluster import Cluster
from pipeline.experiment.errors import UserError

JOB = "/api/jobs/tickets-a-1"
RUNNING, DONE = {"status": "RUNNING"}, {"status": "SUCCEEDED", "driver_exit_code": 0}
Followed = Callable[..., tuple[int, str]]


@pytest.fixture
def followed(
    serve: Callable[[dict[str, Any]], str], cluster_of: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> Followed:
    """`followed(details, logs)`: exit code and output of a job whose server gives these in turn, the last for ever."""
    monkeypatch.setattr(client, "EVERY", 0.01)
    monkeypatch.setattr(client, "AWAY", 0.3)

    def in_turn(answers: list[Any]) -> Callable[[], Any]:
        turns: Iterator[Any] = iter(answers[:-1])
        return lambda: next(turns, answers[-1])

    def go(details: list[Any], logs: list[Any]) -> tuple[int, str]:
        address = serve({JOB: in_turn(details), f"{JOB}/logs": in_turn(logs), "/api/jobs/": []})
        written: list[str] = []
        return follow(replace(cluster_of((1, 0, 8)), address=address), "tickets-a-1", written.append), "".join(written)

    return go


def lines(*written: str) -> dict[str, str]:
    return {"logs": "".join(f"{line}\n" for line in written)}


def test_output_is_written_once_whatever_is_lost_on_the_way(followed: Followed) -> None:
    logs = [lines("one"), 500, lines("one", "two"), lines("one"), lines("one", "two", "three")]
    assert followed([RUNNING, RUNNING, 500, RUNNING, RUNNING, DONE], logs) == (0, "one\ntwo\nthree\n")


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ({"status": "SUCCEEDED", "driver_exit_code": 0}, 0, ""),
        ({"status": "FAILED", "driver_exit_code": 2, "message": "its last lines"}, 2, ""),
        ({"status": "FAILED", "driver_exit_code": -9}, 137, ""),
        ({"status": "STOPPED"}, 143, ""),
        ({"status": "FAILED", "message": "no such folder", "error_type": "RUNTIME_ENV_SETUP_FAILURE"}, 1, "no such"),
        ({"status": "FAILED", "message": "its node died", "error_type": "JOB_SUPERVISOR_ACTOR_DIED"}, 75, "node died"),
    ],
)
def test_the_end_is_the_runs_exit_code_also_where_nobody_has_its_output(
    followed: Followed, end: Job, code: int, said: str
) -> None:
    assert exit_code(end) == code
    found, written = followed([RUNNING, end], [500])
    assert found == code and said in written and bool(written) == bool(said)


def test_a_cluster_that_stays_away_is_lost_and_one_that_comes_back_is_not(followed: Followed) -> None:
    assert followed([RUNNING, 500, 500, DONE], [lines("one")])[0] == 0
    with pytest.raises(ClusterLostError):
        followed([RUNNING, 500], [lines("one")])


def test_what_is_no_job_is_told(followed: Followed) -> None:
    with pytest.raises(UserError, match="knows no job 'tickets-a-1'"):
        followed([None], [None])
