"""Runs submitted to a real cluster: stopped and submitted again, refused, ended with their own exit code."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.store import Snapshot, Store
from pipeline.experiment.grid import Grid

pytestmark = pytest.mark.ray

Give = Callable[..., tuple[int, str, str]]


@pytest.fixture
def give(tmp_path: Path, fork: Callable[..., Any], ray_cluster: str) -> Give:
    """Give a command in `tmp_path`, with the cluster's address in the environment; its exit code, stdout and stderr."""

    def command(*arguments: str, **environment: str) -> tuple[int, str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TICKETS_"))}
        token = os.environ["RAY_AUTH_TOKEN"]
        given = {**inherited, "RAY_AUTH_TOKEN": token, "RAY_API_SERVER_ADDRESS": ray_cluster, **environment}
        begun = fork(tmp_path, *arguments, environment=given)
        out, err = begun.communicate(timeout=150)
        return begun.returncode, out, err

    return command


def job_in(out: str) -> str:
    return next(line.split(": ")[1] for line in out.splitlines() if line.startswith("submitted: "))


def made(snapshot: Snapshot, keys: set[str]) -> dict[str, Any]:
    """By whom and when stages were done."""
    return {key: (record["attempt"], record["finished"]) for key in keys if (record := snapshot.record(key))}


def test_a_run_that_is_stopped_goes_on_when_it_is_submitted_again_and_finds_the_same_bits(
    give: Give, small: Grid, small_file: Path, tmp_path: Path, expected: dict[str, Any], results_of: Any
) -> None:
    store = tmp_path / "store"
    submit = ["submit", str(small_file), "--tracking", "none", "--lanes", "2", "--store", "store"]
    code, out, err = give(*submit)
    assert code == 0, err
    assert "sends" in out and "with the package" in out
    first, deadline = job_in(out), time.monotonic() + 120
    assert first.startswith("tickets-small-")
    while not store.is_dir() or len(list(Store(str(store)).snapshot())) < 3:
        assert time.monotonic() < deadline, give("logs", first)
        time.sleep(0.1)
    code, out, _ = give("stop", first)
    assert code == 0 and f"{first}: stopped" in out
    assert "had ended already" in give("stop", first)[1]
    code, out, _ = give("logs", first, "--follow")
    assert code == 143 and "small: 0 stages cached" in out
    before = Store(str(store)).snapshot()
    done = set(before)
    assert 3 <= len(done) < len(small.stages)

    code, out, err = give(*submit, "--wait")
    assert code == 0, out + err
    assert f"small: {len(done)} stages cached" in out
    assert f"{len(small.stages) - len(done)} stages run" in out
    assert results_of(store) == expected
    assert made(Store(str(store)).snapshot(), done) == made(before, done), "what was done ran again"
    assert (tmp_path / "reports" / "small" / "report.html").is_file()
    listed = {job["job"]: (job["experiment"], job["exit_code"]) for job in json.loads(give("jobs", "--json")[1])}
    assert listed[first] == ("small", 143)
    assert listed[job_in(out)] == ("small", 0)


def test_a_run_that_cannot_work_ends_with_its_own_exit_code_and_words(give: Give, small_file: Path) -> None:
    code, out, _ = give("submit", str(small_file), "--tracking", "none", "--store", "/proc/store", "--wait")
    assert code == 2
    assert "The store '/proc/store' cannot be opened" in out


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        ((), {"RAY_AUTH_TOKEN": "wrong"}, "refuses the token"),
        ((), {"RAY_AUTH_TOKEN": "", "HOME": "/nonexistent"}, "asks for a token, and there is none here"),
        (("--set", "resources.cpus_per_worker=1000"), {}, "no autoscaler that would add any"),
        (("--set", "prune.rounds=many"), {}, "prune.rounds"),
        ((), {"TICKETS_STORE": "s3://key:secret@bucket/store"}, "credentials would be shown"),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_is_submitted(
    give: Give, small_file: Path, arguments: tuple[str, ...], environment: dict[str, str], told: str
) -> None:
    before = give("jobs", "--json")[1]
    code, _, err = give("submit", str(small_file), *arguments, **environment)
    assert code == 2 and told in err
    assert give("jobs", "--json")[1] == before


def test_a_job_that_is_not_there_is_told_with_the_nearest_one(give: Give) -> None:
    for command in ("logs", "stop"):
        code, _, err = give(command, "tickets-unheard-of")
        assert code == 2 and "knows no job 'tickets-unheard-of'" in err
