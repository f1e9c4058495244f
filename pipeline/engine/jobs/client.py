"""Ray's client for jobs, with errors for people."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.engine.jobs.cluster import MODE, Cluster, authorization
from pipeline.experiment.errors import UserError
from pipeline.experiment.suggestions import did_you_mean

EXPERIMENT = "ticket_transfer_experiment"
"""Metadata of our jobs: the name of the grid or collection."""
AWAY = 60.0
"""Seconds without an answer after which a cluster that is followed counts as lost."""
CHATTY = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk", "ray._private.runtime_env.packaging")
READY = 60.0
"""Seconds that a cluster which has just started may take to be ready for jobs."""
NOT_READY = "No available agent"
"""What it says until then."""
STOPPED = 128 + 15
"""Exit code of a run that was ended by SIGTERM, as `ray job stop` does."""


class ClusterLostError(Exception):
    """The cluster does not answer any more; its jobs may be running, or gone with it."""


class Jobs:
    """The jobs of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        # Ray's client prefers these variables to the address that it is given.
        os.environ.pop("RAY_ADDRESS", None)
        os.environ["RAY_API_SERVER_ADDRESS"] = cluster.address
        os.environ.setdefault(MODE, "token")
        from ray.job_submission import JobSubmissionClient

        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
        headers = authorization() if os.environ[MODE] == "token" else {}
        self._client: Any = JobSubmissionClient(cluster.address, headers=headers)

    def submit(
        self, name: str, command: str, folder: Path, experiment: str, environment: dict[str, str], memory: int
    ) -> None:
        """Send `folder` as the job's working directory, and have `command` run in it. Raises UserError if refused."""
        deadline = time.monotonic() + READY
        while True:
            try:
                self._client.submit_job(
                    entrypoint=command,
                    submission_id=name,
                    runtime_env={"working_dir": str(folder), "env_vars": environment},
                    metadata={EXPERIMENT: experiment},
                    entrypoint_memory=memory or None,
                )
            except RuntimeError as error:
                if NOT_READY not in str(error):
                    raise UserError(f"The cluster refused the job: {str(error)[:1000]}") from error
                if time.monotonic() > deadline:
                    raise UserError(
                        f"The cluster at {self._cluster.address} has taken no job for {READY:.0f} s: its head node's "
                        "agent is not ready. Try again; if it stays so, look at the head node's load and logs."
                    ) from error
                time.sleep(2.0)
            else:
                return

    def list(self) -> list[Any]:
        """Ray's details of all submitted jobs, the oldest first."""
        found = [job for job in self._client.list_jobs() if job.submission_id]
        return sorted(found, key=lambda job: job.start_time or 0)

    def get(self, name: str) -> Any:
        """Ray's details of a job. Raises UserError if there is none of this name."""
        try:
            return self._client.get_job_info(name)
        except RuntimeError as error:
            names = [job.submission_id for job in self.list()]
            raise UserError(
                f"The cluster at {self._cluster.address} knows no job {name!r}.{did_you_mean(name, names)} "
                "`tickets jobs` lists them."
            ) from error

    def logs(self, name: str) -> str:
        """All that the job has written so far."""
        return str(self._client.get_job_logs(name))

    def stop(self, name: str, seconds: float = 30.0) -> Any:
        """SIGTERM, and SIGKILL after the cluster's grace (3 s, unless it says otherwise); the job's last details."""
        if not self.get(name).status.is_terminal():
            self._client.stop_job(name)
        deadline = time.monotonic() + seconds
        while not (job := self.get(name)).status.is_terminal() and time.monotonic() < deadline:
            time.sleep(0.5)
        return job

    def follow(self, name: str, write: Callable[[str], object]) -> int:
        """Give `write` what the job writes until it ends; its exit code. Raises UserError, ClusterLostError."""
        self.get(name)
        output, answered = _Output(write), time.monotonic()
        while True:
            lost = self._tail(name, output)
            try:
                job = self._client.get_job_info(name)
                answered = time.monotonic()
                if job.status.is_terminal():
                    output.whole(self.logs(name))
                    return exit_code(job)
            except Exception as error:  # whatever a lost connection raises in Ray's client
                lost = error
            if time.monotonic() - answered > AWAY:
                raise ClusterLostError(str(lost))
            time.sleep(1.0)

    def _tail(self, name: str, output: "_Output") -> Exception | None:
        """Write what comes until the connection ends; what ended it, if it was not the job's end."""

        async def receive() -> None:
            output.again()
            async for text in self._client.tail_job_logs(name):
                output.add(text)

        try:
            asyncio.run(receive())
        except Exception as error:  # as above; the job goes on without us
            return error
        return None


class _Output:
    """A job's output, which each new connection sends from its beginning, written once."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write, self._written, self._received = write, 0, 0

    def again(self) -> None:
        self._received = 0

    def add(self, text: str) -> None:
        fresh = text[max(0, self._written - self._received) :]
        self._received += len(text)
        if fresh:
            self._write(fresh)
            self._written += len(fresh)

    def whole(self, text: str) -> None:
        self.again()
        self.add(text)


def exit_code(job: Any) -> int:
    """That of the run in an ended job, as a shell would have it."""
    if job.status == "SUCCEEDED":
        return 0
    if job.status == "STOPPED":
        return STOPPED
    code = job.driver_exit_code
    return 1 if code is None else code if code >= 0 else 128 - code
