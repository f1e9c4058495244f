"""How much memory this process may use: the machine's, or its container's."""

import os
from pathlib import Path

LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Of control groups, version 2 and 1, as a container sees its own."""


def memory_bytes(limits: tuple[Path, ...] = LIMITS) -> float:
    """The machine's memory, or the container's limit where that is less: a pod sees the memory of its whole node."""
    machine = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    written = [path.read_text().strip() for path in limits if path.is_file()]
    return min([machine, *(float(text) for text in written if text.isdecimal())])
