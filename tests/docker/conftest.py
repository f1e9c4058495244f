"""Programs that check docker/, installed beside this Python by the extra `test`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def run() -> Run:
    """`run("hadolint", "Dockerfile", VARIABLE="value")`: what the program said, its exit code with it."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    def give(name: str, *arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        found = shutil.which(name, path=beside)
        assert found, f"{name} is not installed: it comes with `pip install -e .[test]`"
        command = [found, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)

    return give


@pytest.fixture(scope="session")
def docker() -> Path:
    """The folder docker/."""
    return Path(__file__).parents[2] / "docker"
