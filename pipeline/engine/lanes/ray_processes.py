"""The processes of Ray that this one has started, and how all of them end at once."""

import contextlib
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pipeline.engine.lanes.ray_lost import GO_ON, GONE


def leave(what: str) -> None:
    """End the process, and what it has started of Ray, whatever other threads wait for. `what`: why, a sentence."""
    if os.isatty(1):
        with contextlib.suppress(OSError):
            os.write(1, b"\x1b[?25h")  # the cursor, which a live display hides; sys.stdout would escape it
    print(f"{what}. {GO_ON}", file=sys.stderr, flush=True)
    with contextlib.suppress(Exception):
        end_all()
    os._exit(GONE)


def end_all() -> None:
    for process in _processes():
        with contextlib.suppress(Exception):
            process.send_signal(signal.SIGKILL)


class Heads:
    """Those that this process has had on its machine since it began to look."""

    def __init__(self) -> None:
        self._heads: dict[int, Any] = {}

    def one_died(self) -> bool:
        """Whether one that was seen at this or an earlier look has died."""
        self._heads |= {process.pid: process for process in _processes() if _name(process) == "gcs_server"}
        return any(not _lives(head) for head in self._heads.values())


def _processes() -> list[Any]:
    """Processes of Ray that this one has started, and theirs."""
    import ray

    psutil = _psutil()
    package = str(Path(ray.__file__).parent)
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            words = child.cmdline()
            if _name(child) == "gcs_server" or any(package in word or word.startswith("ray::") for word in words):
                found.append(child)
    return found


def _name(process: Any) -> str:
    try:
        return str(process.name())
    except _psutil().Error:
        return ""


def _lives(process: Any) -> bool:
    psutil = _psutil()
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _psutil() -> Any:
    """Ray brings it along, in a folder of its own that it puts on the path."""
    return importlib.import_module("psutil")
