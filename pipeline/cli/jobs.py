"""`tickets jobs`: the runs that were submitted to a Ray cluster."""

import json
import time
from typing import Any

from rich.table import Table
from rich.text import Text

from pipeline.cli.cluster_address import AddressOption
from pipeline.cli.console import open_console
from pipeline.cli.options import JsonOption
from pipeline.cli.quantities import duration


def jobs(address: AddressOption = "", as_json: JsonOption = False) -> None:
    """List the runs that were submitted to a cluster.

    One line a run of `tickets submit`, the oldest first: its name (the JOB of `tickets logs JOB` and `tickets stop
    JOB`), the experiment, pending, running, succeeded, failed or stopped, the exit code of `tickets run` once it has
    ended, when it started, how long it took, and why a job never began. Other jobs of the cluster are left out.
    """
    from pipeline.engine.jobs import client
    from pipeline.engine.jobs.cluster import find_cluster

    found = [
        {
            "job": job["submission_id"],
            "experiment": client.experiment_of(job),
            "status": job["status"],
            "exit_code": client.exit_code(job) if client.has_ended(job) else None,
            "started": (job.get("start_time") or 0) / 1000,
            "seconds": ((job.get("end_time") or time.time() * 1000) - (job.get("start_time") or 0)) / 1000,
            "message": client.unsaid(job),
        }
        for job in client.jobs(find_cluster(address))
    ]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = Table(box=None, padding=(0, 2))
    for column in ("job", "experiment", "status", "exit code", "started", "for", ""):
        table.add_column(column)
    for each in found:
        table.add_row(*map(Text, _row(each)))
    open_console().print(table if found else "No run was submitted to this cluster: `tickets submit FILE` does it.")


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    code = "" if job["exit_code"] is None else str(job["exit_code"])
    started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job["started"]))
    times = started, duration(job["seconds"])
    return job["job"], job["experiment"], job["status"].lower(), code, *times, job["message"] or ""
