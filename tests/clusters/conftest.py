"""Stand-ins for programs that the scripts call: each is a few lines of shell, first on the PATH."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def stand_ins(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """`stand_ins(ray="...", ...)` writes them, and gives the environment in which they are found."""

    def write(**scripts: str) -> dict[str, str]:
        folder = tmp_path / "bin"
        folder.mkdir()
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
            (folder / name).chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TICKETS_"))}
        return {**kept, "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(tmp_path), "SAID": str(tmp_path / "said")}

    return write
