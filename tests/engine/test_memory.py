"""In a container the limit counts, not the machine's memory."""

from pathlib import Path

from pipeline.engine.memory import memory_bytes


def test_the_smaller_of_machine_and_container(tmp_path: Path) -> None:
    limit, none = tmp_path / "memory.max", tmp_path / "absent"
    machine = memory_bytes((none,))
    assert machine > 2**28
    limit.write_text("max\n")
    assert memory_bytes((limit, none)) == machine
    limit.write_text(f"{2**28}\n")
    assert memory_bytes((none, limit)) == 2**28
    limit.write_text(str(2**63))
    assert memory_bytes((limit,)) == machine
