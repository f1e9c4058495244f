"""What a result was made with: versions, hardware, code. Recorded with every stage."""

import importlib.metadata
import os
import platform
import socket
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypedDict

PACKAGES = ("ticket-transfer", "torch", "torchvision", "numpy", "ray", "safetensors")


class Provenance(TypedDict):
    """Of a driver, for the tracking run of a grid."""

    versions: dict[str, str]
    host: str
    git_commit: str


@cache
def versions() -> dict[str, str]:
    """Installed versions of what results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "absent"
    return found


@cache
def hardware(device: str) -> dict[str, str]:
    """Processor, its vector capability as torch uses it, GPU model: bits are the same only on the same hardware."""
    import torch

    facts = {
        "host": socket.gethostname(),
        "cpu": _cpu_model(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": device,
    }
    if device.startswith("cuda"):
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts


def hardware_of(workers: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """One description for all `workers` of a lane (each as `hardware` gives it): what differs is listed."""
    facts = {name: " + ".join(sorted({each[name] for each in workers})) for name in workers[0]}
    if len(workers) > 1:
        facts |= {"workers": str(len(workers)), "backend": "nccl" if "gpu" in facts else "gloo"}
    return facts


def that_decides_bits(recorded: Mapping[str, str]) -> dict[str, str]:
    """Recorded hardware without what is of one lane: results of equal keys are the same bits where this is equal."""
    return {name: value for name, value in recorded.items() if name not in ("host", "workers", "backend")}


@cache
def git_commit() -> str:
    """Commit of the checkout that this package runs from, with `+` if it has changes; empty if it was installed."""
    folder = str(Path(__file__).parent)
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def driver_id() -> str:
    """Unique name of this process as a driver."""
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"


def describe_driver() -> Provenance:
    return {"versions": versions(), "host": socket.gethostname(), "git_commit": git_commit()}


def _git(folder: str, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", folder, *arguments], capture_output=True, text=True, check=True, timeout=5
    ).stdout.strip()


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
