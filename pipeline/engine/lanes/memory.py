"""How much memory this process may use: the machine's, or what its container or job has of it."""

import os
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")


def memory_bytes(groups: Path = GROUPS, own: Path = Path("/proc/self/cgroup")) -> float:
    """The machine's memory, or the limit of a control group of this process where that is less.

    A container, or a job of Slurm's, sees the memory of its whole node. `groups`: where control groups are mounted;
    `own`: those of this process.
    """
    machine = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    written = [path.read_text().strip() for path in _limits(groups, own) if path.is_file()]
    return min([machine, *(float(text) for text in written if text.isdecimal())])


def _limits(groups: Path, own: Path) -> Iterator[Path]:
    """Files with limits: of the group itself and of all above it; a container sees its own as the topmost one."""
    for line in own.read_text().splitlines() if own.is_file() else []:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            for group in (Path(path), *Path(path).parents):
                inside = str(group).lstrip("/")
                yield groups / inside / "memory.max"
                yield groups / "memory" / inside / "memory.limit_in_bytes"
