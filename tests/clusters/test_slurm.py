"""clusters/slurm/tickets.sbatch with stand-ins for Slurm, Ray and the run: token, signals, requeueing, what is left."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "clusters" / "slurm" / "tickets.sbatch"
SCONTROL = 'if [ "$1" = show ]; then printf "node-a\\nnode-b\\n"; else echo "scontrol $*" >>"$SAID"; fi'
SRUN = 'while [[ $1 == -* ]]; do shift; done; exec "$@"'
RAY = 'echo "ray $*" >>"$SAID"; while [ "$1" != -- ]; do shift; done; shift; "$@"'
BROKEN_RAY = 'echo "Failed to start Ray"; exit 0'  # as `ray symmetric-run` does
TICKETS = """
trap 'kill $!; echo stopped >>"$SAID"; exit 143' TERM
echo "tickets $*" >>"$SAID"
echo "token $(stat -c %a "$RAY_AUTH_TOKEN_PATH") $(stat -c %a "$(dirname "$RAY_AUTH_TOKEN_PATH")")" >>"$SAID"
echo "mode $RAY_AUTH_MODE" >>"$SAID"
grep -q "$(cat "$RAY_AUTH_TOKEN_PATH")" /proc/[0-9]*/cmdline && echo "the token is in the process list" >>"$SAID"
echo begun >>"$SAID"
[ -z "$LONG" ] || { sleep 20 & wait; }
exit "${CODE:-0}"
"""


@dataclass(frozen=True)
class Batch:
    process: subprocess.Popen[str]
    folder: Path

    def said(self) -> str:
        return (self.folder / "said").read_text() if (self.folder / "said").exists() else ""

    def ends(self) -> int:
        return self.process.wait(timeout=60)

    def wait_for(self, word: str) -> None:
        deadline = time.monotonic() + 60
        while word not in self.said():
            assert time.monotonic() < deadline and self.process.poll() is None, self.said()
            time.sleep(0.02)


@pytest.fixture
def batch(stand_ins: Callable[..., dict[str, str]], tmp_path: Path) -> Iterator[Callable[..., Batch]]:
    begun: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, ray: str = RAY, **settings: str) -> Batch:
        environment = stand_ins(scontrol=SCONTROL, srun=SRUN, ray=ray, tickets=TICKETS)
        slurm = {"SLURM_JOB_ID": "42", "SLURM_JOB_NODELIST": "node-[a-b]", "SLURM_JOB_NUM_NODES": "2"}
        whole = {**environment, **slurm, "LONG": "", "RAY_AUTH_TOKEN": "mine", **settings}
        process = subprocess.Popen(["bash", SCRIPT, *arguments], cwd=tmp_path, env=whole, text=True)
        begun.append(process)
        return Batch(process, tmp_path)

    yield begin
    for process in begun:
        process.kill()


def test_the_run_is_on_the_jobs_cluster_with_its_store_and_options(batch: Callable[..., Batch]) -> None:
    job = batch("grid.yaml", "--set", "seeds=[0, 1]", MLFLOW_TRACKING_URI="http://mlflow:5000")
    assert job.ends() == 0
    said = job.said()
    assert "ray symmetric-run --address node-a:6379 --min-nodes 2 -- " in said
    store = f"--store {job.folder}/.tickets/store --tracking http://mlflow:5000"
    assert f"tickets run grid.yaml --address node-a:6379 {store} --set seeds=[0, 1]\n" in said
    assert "scontrol" not in said


def test_the_token_is_a_file_that_only_the_owner_reads_and_goes_with_the_job(batch: Callable[..., Batch]) -> None:
    job = batch("grid.yaml")
    assert job.ends() == 0
    assert "token 600 700\nmode token\nbegun" in job.said(), "and in no process's arguments"
    assert not list(job.folder.glob(".tickets-*"))


def test_before_the_time_limit_the_run_stops_and_the_job_goes_on_later(batch: Callable[..., Batch]) -> None:
    job = batch("grid.yaml", LONG="yes")
    job.wait_for("begun")
    os.kill(job.process.pid, signal.SIGUSR1)
    assert job.ends() == 143
    assert job.said().endswith("stopped\nscontrol requeue 42\n")
    assert not list(job.folder.glob(".tickets-*")), "no token is left for later"


def test_a_job_that_is_cancelled_stays_so(batch: Callable[..., Batch]) -> None:
    job = batch("grid.yaml", LONG="yes")
    job.wait_for("begun")
    os.kill(int((job.folder / ".tickets-42" / "driver").read_text()), signal.SIGTERM)  # Slurm's, to the step
    assert job.ends() == 143
    assert "scontrol" not in job.said()


@pytest.mark.parametrize(
    ("code", "restarts", "again"), [("1", "0", False), ("2", "0", False), ("75", "0", True), ("75", "10", False)]
)
def test_only_a_lost_cluster_is_tried_again_and_not_for_ever(
    batch: Callable[..., Batch], code: str, restarts: str, again: bool
) -> None:
    job = batch("grid.yaml", CODE=code, SLURM_RESTART_COUNT=restarts)
    assert job.ends() == int(code)
    assert ("scontrol requeue 42" in job.said()) == again


def test_a_ray_that_does_not_start_is_a_failure(batch: Callable[..., Batch]) -> None:
    assert batch("grid.yaml", ray=BROKEN_RAY).ends() == 1


def test_what_a_try_left_that_was_killed_is_replaced(batch: Callable[..., Batch], tmp_path: Path) -> None:
    (tmp_path / ".tickets-42").mkdir()
    (tmp_path / ".tickets-42" / "driver").write_text("1")
    assert batch("grid.yaml").ends() == 0


def test_directives_ask_for_whole_nodes_a_warning_and_requeueing() -> None:
    directives = set(re.findall("^#SBATCH (.*)$", SCRIPT.read_text(), re.MULTILINE))
    needed = {"--ntasks-per-node=1", "--exclusive", "--mem=0", "--signal=B:USR1@300", "--requeue", "--open-mode=append"}
    assert needed <= directives and "--gpus-per-node=1" in directives


def test_symmetric_run_takes_these_arguments() -> None:
    from ray.scripts.symmetric_run import curate_and_validate_ray_start_args, symmetric_run

    words = ["--address", "node-a:6379", "--min-nodes", "2"]
    assert curate_and_validate_ray_start_args([*words]) == []  # none is left over for `ray start`
    assert symmetric_run.make_context("_", [*words], resilient_parsing=True).params["min_nodes"] == 2
