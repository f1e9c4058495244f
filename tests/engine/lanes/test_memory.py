"""In a container or a job of a cluster the limit counts, not the machine's memory."""

from pathlib import Path

import pytest

from pipeline.engine.lanes.memory import memory_bytes


@pytest.mark.parametrize(
    ("own", "file"),
    [
        ("0::/", "memory.max"),
        ("0::/system.slice/job_7/step_0", "system.slice/job_7/memory.max"),
        ("4:memory:/docker/ab", "memory/docker/ab/memory.limit_in_bytes"),
        ("4:memory:/docker/ab", "memory/memory.limit_in_bytes"),
    ],
)
def test_the_smallest_limit_of_all_groups_above_counts(own: str, file: str, tmp_path: Path) -> None:
    groups, mine = tmp_path / "groups", tmp_path / "own"
    mine.write_text(f"12:cpuset:/elsewhere\n{own}\n")
    limit = groups / file
    limit.parent.mkdir(parents=True)
    machine = memory_bytes(groups, mine)
    assert machine > 2**28
    for written, expected in (("max\n", machine), (f"{2**28}\n", 2**28), (str(2**63), machine)):
        limit.write_text(written)
        assert memory_bytes(groups, mine) == expected


def test_where_there_are_no_control_groups_it_is_the_machines(tmp_path: Path) -> None:
    assert memory_bytes(tmp_path, tmp_path / "absent") > 2**28
