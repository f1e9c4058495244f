"""Processes of one trial: they carry a mark in their environment, and are found, hit and ended by nothing else."""

import contextlib
import os
import signal
from pathlib import Path

MARK = "TICKETS_CHAOS"
ROLES = {
    "board": "ray::BoardActor",
    "controller": "ray::TrainController",
    "worker": "RayTrainWorker",
    "gcs": "gcs_server",
    "raylet": "raylet/raylet",
    "driver": "tickets run",
}
"""What the command line of a process holds, by what the process is."""


def living(mark: str) -> dict[int, str]:
    """Process id -> role (its command line where it has none) of the living processes with this mark."""
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            if wanted not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            is_zombie = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:  # it has ended meanwhile
            continue
        if not is_zombie:
            found[int(folder.name)] = next((role for role, sign in ROLES.items() if sign in command), command[:160])
    return found


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def end_all(mark: str) -> None:
    for pid in living(mark):
        send(pid, signal.SIGCONT)
        send(pid, signal.SIGKILL)
